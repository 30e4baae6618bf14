"""The table of exported networks, from made-up measurements, and what users may get wrong."""

import pytest

from experiments.benchmark import exported
from experiments.benchmark.exported import BEGIN, END, Exported
from experiments.benchmark.measurement import Spread
from experiments.errors import UserError

NETWORK = Exported(
    "rotmnist_p4_cnn", 420_000, 9e-7, {batch: (Spread(2e-3, 1e-3, 3e-3), Spread(4e-3, 3e-3, 5e-3)) for batch in (1, 17)}
)


def test_a_row_for_each_batch():
    rows = exported.rows(NETWORK)
    assert rows[0] == ("`rotmnist_p4_cnn`", "0.42", "9e-07", "1", "2 (1–3)", "4 (3–5)", "2.00")
    assert [row[3] for row in rows] == ["1", "17"]
    assert all(len(row) == len(exported.COLUMNS) for row in rows)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(["--only", "rotmnist_p4"], "got 'rotmnist_p4'; did you mean"), (["--repeats", "0"], "positive number; got 0")],
)
def test_mistakes_are_one_line(arguments, message, capsys):
    with pytest.raises(SystemExit) as stopped:
        exported.main(arguments)
    error = capsys.readouterr().err
    assert stopped.value.code == 2
    assert message in error
    assert error.count("\n") == 1


def test_the_page_needs_its_markers(tmp_path, monkeypatch):
    monkeypatch.setattr(exported.importlib.metadata, "version", lambda package: "1.0")
    page = tmp_path / "page.md"
    page.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    exported.write_page([NETWORK], 9, page)
    text = page.read_text()
    assert "rotmnist_p4_cnn" in text
    assert "old" not in text
    assert text.startswith("before\n")
    assert text.endswith("after\n")
    page.write_text("nothing")
    with pytest.raises(UserError, match="expected the lines"):
        exported.write_page([NETWORK], 9, page)

import io

import pytest
from rich.console import Console

from experiments.benchmark import cases, page, record, tables
from experiments.benchmark.growth import growth
from experiments.benchmark.measurement import Measurement, Spread
from experiments.errors import UserError


def measurement(n, seconds, used, contender="ours", **fields):
    times = None if seconds is None else Spread(seconds, 0.9 * seconds, 1.1 * seconds)
    return Measurement("section", {"n": n}, ("n",), contender, "forward and backward", times, used, 1.0, **fields)


def printed(show, *arguments):
    stream = io.StringIO()
    show(*arguments, Console(file=stream, width=80))
    return stream.getvalue()


def test_every_name_and_figure_is_whole_on_80_columns():
    contenders = {name for make in cases.sections(False).values() for case in make() for name in case.contenders}
    wide = [measurement(8, 33.2, 6406e6, name, time_ratio=Spread(128.2, 99.9, 130.4)) for name in contenders]
    small = [measurement(4, 0.0000612, 46.6e3, name, time_ratio=Spread(0.064, 0.058, 0.0817)) for name in contenders]
    text = printed(tables.print_section, "section", [*wide, *small])
    assert max(map(len, text.splitlines())) <= 80
    assert "…" not in text
    for words in (*contenders, "33200", "29880–36520", "128", "99.9–130", "0.0612", "0.06–0.08", "6406", "memory"):
        assert words in text
    assert text.count("n=8, forward and backward") == 1
    fits = growth([measurement(n, 0.1 * n, 10 * n, "group convolution") for n in (2, 4, 8)])
    text = printed(tables.print_growth, fits)
    assert "group convolution" in text
    assert "forward and backward" in text
    assert "…" not in text


def test_a_baseline_has_a_ratio_of_one_without_a_range():
    text = printed(tables.print_section, "section", [measurement(8, 1.0, 8, time_ratio=Spread(1.0, 1.0, 1.0))])
    assert "1.00–1.00" not in text


def test_growth_is_the_exponent_of_a_power():
    measurements = [measurement(n, 0.1 * n**3, 1000 * n**2) for n in (2, 4, 8)]
    (fit,) = growth(measurements)
    assert fit.time == pytest.approx(3)
    assert fit.memory == pytest.approx(2)
    (fit,) = growth([*measurements[:2], measurement(8, None, 64000)])
    assert fit.time is None
    assert fit.memory == pytest.approx(2)
    assert growth(measurements[:2]) == []


def test_the_page_keeps_what_is_outside_the_markers(tmp_path):
    path = tmp_path / "page.md"
    path.write_text(f"before\n{page.BEGIN}\nold\n{page.END}\nafter\n")
    names = ("num_devices", "device", "platform", "machine", "jax", "flax", "commit")
    measurements = [measurement(n, 0.1 * n, 1000 * n) for n in (2, 4, 8)] + [measurement(16, None, 16000)]
    where = record.Provenance(dict.fromkeys(names, "x"), 3)
    result = record.Record({measurements[0].section: where}, False, measurements)
    page.write_page(result, path, ["another section"])
    text = path.read_text()
    assert text.startswith(f"before\n{page.BEGIN}\n")
    assert text.endswith(f"{page.END}\nafter\n")
    assert "old" not in text
    assert "Not measured yet: another section." in text
    assert "at commit x, 3 times." in text
    assert "| n=4 | forward and backward | ours | 400 (360–440) |" in text
    assert "| n=16 | forward and backward | ours | not run |" in text
    path.write_text("no markers")
    with pytest.raises(UserError, match="expected the lines"):
        page.write_page(result, path, [])


def test_the_page_in_the_repository_has_the_markers():
    text = page.PAGE.read_text()
    assert page.BEGIN in text
    assert page.END in text

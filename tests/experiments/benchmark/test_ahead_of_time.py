import pytest

from experiments.benchmark import ahead_of_time
from experiments.benchmark.ahead_of_time import Plan
from experiments.benchmark.page import PAGE
from experiments.errors import UserError

PLAN = Plan("digits_r4_sa", "pallas", 4, 1.25e9, 2e9, 3e12, 4.4)


def test_every_network_of_the_table_can_be_built_and_every_family_is_there():
    names = list(ahead_of_time.programs())
    assert {"rotmnist_r4_sa", "rotmnist_r8m_sa", "rotmnist_alpha_p4_cnn"} <= set(names)
    for family in ("digits", "cifar10", "pcam", "all_cnn", "resnet44", "densenet"):
        assert any(family in name for name in names)


@pytest.mark.slow
def test_a_plan_is_read_from_the_compiled_step():
    plan = ahead_of_time.compile_step("digits_alpha_f_z2_cnn", 2, "", None)
    assert (plan.network, plan.batch, plan.dtype) == ("digits_alpha_f_z2_cnn", 2, "float32")
    assert min(plan.temporary_bytes, plan.traffic_bytes, plan.operations, plan.compile_seconds) > 0


def test_the_page_has_the_table_between_its_markers(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(f"before\n{ahead_of_time.BEGIN}\nold\n{ahead_of_time.END}\nafter\n")
    ahead_of_time.write_page([PLAN], "v5e:2x2", "libtpu 1.2", page)
    text = page.read_text()
    assert "| `digits_r4_sa` | pallas | float32 | 4 | 1.25 | 2 | 3 | 4 |" in text
    assert "libtpu 1.2" in text
    assert "old" not in text
    assert text.startswith("before")
    assert text.endswith("after\n")
    assert ahead_of_time.BEGIN in PAGE.read_text()
    page.write_text("no markers")
    with pytest.raises(UserError, match="expected the lines"):
        ahead_of_time.write_page([PLAN], "v5e:2x2", "libtpu 1.2", page)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--only", "rotmnist_r4_as"], "did you mean rotmnist_r4_sa"),
        (["--batch", "0"], "--batch: expected a positive number; got 0"),
        (["--attention", "fast"], "--attention"),
    ],
)
def test_mistakes_are_one_line(arguments, message, capsys):
    with pytest.raises(SystemExit):
        ahead_of_time.main(arguments)
    assert message in capsys.readouterr().err

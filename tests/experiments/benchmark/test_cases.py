import jax
import numpy as np
import pytest

from experiments.benchmark import cases
from experiments.benchmark.measure import measure


def outputs(section):
    """What the contenders of the first case of a section compute."""
    case = next(cases.sections(True)[section]())
    programs = [contender.make() for contender in case.contenders.values()]
    return case, [program.function(*program.arguments) for program in programs]


@pytest.mark.slow
@pytest.mark.parametrize("section", ["group self-attention", "lifting self-attention", "global self-attention"])
def test_the_naive_form_computes_the_same(section):
    _, (ours, naive) = outputs(section)
    np.testing.assert_allclose(ours, naive, atol=1e-5)


@pytest.mark.parametrize("section", ["group convolution", "convolution of volumes"])
def test_the_plain_convolution_computes_the_same(section):
    case, (ours, plain) = outputs(section)
    np.testing.assert_allclose(ours, plain.reshape(ours.shape), atol=1e-5)
    assert case.setting["n"] == ours.shape[-2]


@pytest.mark.parametrize("quick", [True, False])
@pytest.mark.parametrize("section", cases.sections(True))
def test_every_section_has_cases_and_measures_each_setting_once(section, quick):
    found = list(cases.sections(quick)[section]())
    assert found
    assert all(case.section == section and case.contenders for case in found)
    assert all(variable in case.setting for case in found for variable in case.variables)
    settings = [tuple(case.setting.items()) for case in found]
    assert len(set(settings)) == len(settings)


def test_a_setting_that_series_share_belongs_to_all_of_them():
    swept = {tuple(s.values()): v for s, v in cases.sweep(dict(a=1, b=2), dict(a=(1, 3), b=(2, 4)))}
    assert swept == {(1, 2): ("a", "b"), (3, 2): ("a",), (1, 4): ("b",)}
    swept = {tuple(s.values()): v for s, v in cases.sweep(dict(a=1, b=2), dict(a=(1, 3), b=(2, 5)), a=dict(b=5))}
    assert swept == {(1, 5): ("a", "b"), (3, 5): ("a",), (1, 2): ("b",)}


def test_training_steps_stand_beside_pytorch_where_there_is_an_interpreter(tmp_path):
    for python, expected in ((None, []), (tmp_path / "python", ["rotmnist_p4_cnn"])):
        found = cases.sections(True, python)["training step"]()
        assert [case.setting["model"] for case in found if "PyTorch" in case.contenders] == expected
    full = {case.setting["model"]: case for case in cases.sections(False, tmp_path / "python")["training step"]()}
    assert [full[name].setting["batch"] for name in ("rotmnist_p4_cnn", "rotmnist_r4_sa")] == [128, 8]
    assert sum("PyTorch" in case.contenders for case in full.values()) == 3


@pytest.mark.parametrize("section", [name for name in cases.sections(True) if "step" in name])
def test_a_step_of_every_section_can_be_traced(section):
    case = next(cases.sections(True)[section]())
    for contender in case.contenders.values():
        program = contender.make()
        state, _ = jax.eval_shape(program.function, *program.arguments)
        assert jax.tree.structure(state) == jax.tree.structure(program.arguments[0])


@pytest.mark.slow
def test_a_training_step_starts_from_the_state_that_the_last_one_returned():
    case = next(cases.sections(True)["training step"]())
    (measurement,) = measure(case, repeats=2, memory_limit=1e10)
    assert measurement.passes == "step"
    assert measurement.seconds.median > 0
    assert measurement.temporary_bytes > 0

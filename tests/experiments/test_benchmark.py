import json
import subprocess
import sys

import jax.numpy as jnp
import numpy as np
import pytest

from experiments import _benchmark_cases as cases
from experiments import _benchmark_report as report
from experiments import benchmark
from experiments.errors import UserError

MISTAKES = [
    (["--quik"], "unrecognized arguments: --quik"),
    (["--only", "convolutions"], "--only 'convolutions': expected one of group self-attention"),
    (["--repeats", "many"], "--repeats"),
    (["--repeats", "0"], "--repeats: expected a positive number, came 0"),
    (["--memory-limit", "-1"], "--memory-limit: expected a positive number"),
    (["--quick", "--write-docs"], "leave --quick out"),
]


@pytest.mark.parametrize(("arguments", "message"), MISTAKES)
def test_mistakes_are_one_line_and_code_2(arguments, message, tmp_path, capsys):
    with pytest.raises(SystemExit) as stopped:
        benchmark.main([*arguments, "--output", str(tmp_path)])
    assert stopped.value.code == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_an_output_that_is_a_file_is_a_mistake(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    with pytest.raises(SystemExit) as stopped:
        benchmark.main(["--quick", "--output", str(tmp_path / "file")])
    assert stopped.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_it_runs_as_a_module():
    command = [sys.executable, "-m", "experiments.benchmark", "--only", "nothing"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("error: --only 'nothing'")


def test_a_quick_run_writes_json_and_a_plot(tmp_path, capsys):
    benchmark.main(["--quick", "--only", "group convolution", "--repeats", "2", "--output", str(tmp_path)])
    result = json.loads((tmp_path / "benchmark.json").read_text())
    assert (tmp_path / "group_convolution.png").stat().st_size > 1000
    assert "group convolution" in capsys.readouterr().out
    measured = result["measurements"]
    assert {m["contender"] for m in measured} == {"gequi_jax", "nnx.Conv"}
    assert {m["passes"] for m in measured} == {"forward", "forward and backward"}
    assert all(m["seconds"] > 0 and m["compile_seconds"] > 0 for m in measured)
    assert all(m["time_ratio"] == 1 for m in measured if m["contender"] == "gequi_jax")


def test_sections_measured_before_stay(tmp_path, monkeypatch):
    monkeypatch.setattr(cases, "sections", lambda quick: {name: lambda: [None] for name in ("one", "two")})
    monkeypatch.setattr(benchmark.report, "progress", lambda case: None)
    for section in ("one", "two"):
        monkeypatch.setattr(
            benchmark, "measure", lambda case, section=section, **_: [measurement(8, 1.0, 8, section=section)]
        )
        benchmark.main(["--only", section, "--output", str(tmp_path)])
        result = json.loads((tmp_path / "benchmark.json").read_text())
        assert result["not_measured"] == (["two"] if section == "one" else [])
    assert [found["section"] for found in result["measurements"]] == ["one", "two"]
    (tmp_path / "benchmark.json").write_text("{")
    with pytest.raises(SystemExit, match="2"):
        benchmark.main(["--only", "one", "--output", str(tmp_path)])


def values(section, quick=True):
    """What the contenders of the first case of a section compute."""
    case = next(cases.sections(quick)[section]())
    return case, [function(*arguments) for function, arguments in (make() for make in case.contenders.values())]


@pytest.mark.slow
@pytest.mark.parametrize("section", ["group self-attention", "lifting self-attention", "global self-attention"])
def test_naive_form_computes_the_same(section):
    _, (ours, naive) = values(section)
    np.testing.assert_allclose(ours, naive, atol=1e-5)


def test_plain_convolution_computes_the_same():
    case, (ours, plain) = values("group convolution")
    np.testing.assert_allclose(ours, plain.reshape(ours.shape), atol=1e-5)
    assert case.setting["n"] == ours.shape[-2]


def test_every_section_has_cases_with_contenders():
    for quick in (True, False):
        for section, make in cases.sections(quick).items():
            found = list(make())
            assert found
            assert all(case.section == section and case.contenders for case in found)
            assert all(case.variable in case.setting for case in found if case.variable)


@pytest.mark.slow
def test_a_training_step_goes_on_from_its_own_state(tmp_path):
    (case,) = cases.sections(True)["training step"]()
    (measurement,) = benchmark.measure(case, repeats=2, memory_limit=1e10)
    assert measurement.passes == "step"
    assert measurement.seconds > 0
    assert measurement.temporary_bytes > 0


def test_what_needs_too_much_memory_is_compiled_and_not_run():
    def make():
        def function(params, x):
            raise_if_run = jnp.sort(x * params)
            return raise_if_run[::-1].cumsum()

        return function, (jnp.float32(1.0), jnp.arange(4096, dtype=jnp.float32))

    case = cases.Case("section", {"n": 1}, "n", {"ours": make})
    forward, _ = benchmark.measure(case, repeats=1, memory_limit=-1)
    assert forward.seconds is None
    assert forward.time_ratio is None
    assert "not run" in report._row(forward)


def measurement(n, seconds, used, section="section"):
    return benchmark.Measurement(section, {"n": n}, "n", "ours", "forward", seconds, used, 1.0)


def test_growth_is_the_exponent_of_a_power():
    measurements = [measurement(n, 0.1 * n**3, 1000 * n**2) for n in (2, 4, 8)]
    (line,) = report.growth(measurements)
    assert line["time"] == pytest.approx(3)
    assert line["memory"] == pytest.approx(2)
    (line,) = report.growth([*measurements[:2], measurement(8, None, 64000)])
    assert line["time"] is None
    assert line["memory"] == pytest.approx(2)


def test_docs_keep_what_is_outside_the_marks(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(f"before\n{report.BEGIN}\nold\n{report.END}\nafter\n")
    measurements = [measurement(n, 0.1 * n, 1000 * n) for n in (2, 4, 8)]
    names = ("num_devices", "device", "platform", "machine", "jax", "flax", "commit")
    result = {"environment": dict.fromkeys(names, "x"), "repeats": 3, "growth": report.growth(measurements)}
    result["not_measured"] = ["another section"]
    report.write_docs(result, measurements, page)
    text = page.read_text()
    assert text.startswith(f"before\n{report.BEGIN}\n")
    assert text.endswith(f"{report.END}\nafter\n")
    assert "old" not in text
    assert "Not measured yet: another section." in text
    assert "| n=4 | forward | ours | 400 |" in text
    page.write_text("no marks")
    with pytest.raises(UserError, match="expected the lines"):
        report.write_docs(result, measurements, page)


def test_the_page_in_the_repository_has_the_marks():
    text = benchmark.DOCS.read_text()
    assert report.BEGIN in text
    assert report.END in text

import json
import subprocess
import sys
import types

import pytest

from experiments.benchmark import __main__ as benchmark
from experiments.benchmark.measurement import Measurement, Spread

MISTAKES = [
    (["--quik"], "unrecognized arguments: --quik"),
    (["--only", "convolutions"], "--only: expected one of group self-attention"),
    (["--repeats", "many"], "--repeats"),
    (["--repeats", "0"], "--repeats: expected a positive number; got 0"),
    (["--memory-limit", "-1"], "--memory-limit: expected a positive number"),
    (["--quick", "--write-docs"], "leave --quick out"),
    (["--torch-python", "nowhere"], "--torch-python: expected a Python interpreter with PyTorch; got 'nowhere'"),
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
    assert done.stderr.startswith("error: --only: expected one of")


def test_a_quick_run_writes_json_and_a_plot(tmp_path, capsys):
    benchmark.main(["--quick", "--only", "group convolution", "--repeats", "2", "--output", str(tmp_path)])
    result = json.loads((tmp_path / "benchmark.json").read_text())
    assert (tmp_path / "group_convolution.png").stat().st_size > 1000
    assert "group convolution" in capsys.readouterr().out
    measured = result["measurements"]
    assert {m["contender"] for m in measured} == {"gequi_jax", "nnx.Conv"}
    assert {m["passes"] for m in measured} == {"forward", "forward and backward"}
    for m in measured:
        assert 0 < m["seconds"]["minimum"] <= m["seconds"]["median"] <= m["seconds"]["maximum"]
        assert m["compile_seconds"] > 0
        assert m["contender"] != "gequi_jax" or set(m["time_ratio"].values()) == {1.0}


def test_sections_measured_earlier_are_kept(tmp_path, monkeypatch):
    case = types.SimpleNamespace(setting={"n": 8})
    monkeypatch.setattr(benchmark, "sections", lambda *_: {name: lambda: [case] for name in ("one", "two")})
    monkeypatch.setattr(benchmark.options, "sections", lambda *_: ("one", "two"))
    for section in ("one", "two"):
        measured = Measurement(section, {"n": 8}, ("n",), "ours", "forward", Spread(1.0, 0.9, 1.1), 8, 1.0)
        monkeypatch.setattr(benchmark, "measure", lambda case, measured=measured, **_: [measured])
        monkeypatch.setattr(benchmark, "environment", lambda section=section: {"commit": f"commit of {section}"})
        benchmark.main(["--only", section, "--output", str(tmp_path)])
    result = json.loads((tmp_path / "benchmark.json").read_text())
    assert [m["section"] for m in result["measurements"]] == ["one", "two"]
    commits = {name: of["environment"]["commit"] for name, of in result["provenance"].items()}
    assert commits == {"one": "commit of one", "two": "commit of two"}
    (tmp_path / "benchmark.json").write_text("{")
    with pytest.raises(SystemExit, match="2"):
        benchmark.main(["--only", "one", "--output", str(tmp_path)])

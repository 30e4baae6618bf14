import json
import sys

import pytest

from experiments.benchmark import accelerator, accelerator_tasks

VALUES = dict(median=0.5, minimum=0.4, maximum=0.6, compile_seconds=3.0, temporary_bytes=2e9, bytes=1e9, operations=1e9)


def test_failed_tasks_run_again_and_finished_ones_do_not(tmp_path, monkeypatch):
    program = f"import json; print('noise'); print(json.dumps({VALUES!r}))"
    commands = {"good": [sys.executable, "-c", program], "bad": [sys.executable, "-c", "raise SystemExit('broken')"]}
    monkeypatch.setattr(accelerator, "tasks", lambda chosen: commands)
    arguments = ["--output", str(tmp_path)]
    accelerator.main(arguments)
    results = json.loads((tmp_path / "accelerator.json").read_text())
    assert results["good"]["values"] == VALUES
    assert not results["bad"]["ok"]
    assert "broken" in results["bad"]["output"]
    commands["good"] = commands["bad"]
    commands["bad"] = [sys.executable, "-c", program]
    accelerator.main(arguments)
    results = json.loads((tmp_path / "accelerator.json").read_text())
    assert results["good"]["ok"]
    assert results["bad"]["ok"]


def test_a_peer_prints_its_seconds_alone(tmp_path, monkeypatch):
    commands = {"peer": [sys.executable, "-c", "print(0.25)"], "tests": [sys.executable, "-c", "print(7)"]}
    monkeypatch.setattr(accelerator, "tasks", lambda chosen: commands)
    accelerator.main(["--output", str(tmp_path)])
    *_, row = (tmp_path / "accelerator.md").read_text().splitlines()
    assert row == "| peer | 250 | - | - | - | - |"


def test_no_task_outlives_the_time(tmp_path, monkeypatch):
    sleep = [sys.executable, "-c", "import time; time.sleep(60)"]
    monkeypatch.setattr(accelerator, "tasks", lambda chosen: {"first": sleep, "second": sleep})
    accelerator.main(["--output", str(tmp_path), "--minutes", "0.01"])
    results = json.loads((tmp_path / "accelerator.json").read_text())
    assert list(results) == ["first"]
    assert not results["first"]["ok"]


def test_the_table_has_fractions_of_what_the_device_can_do():
    results = {
        "device": {"values": {"bytes_per_second": 20e9, "operations_per_second": 4e9}},
        "step": {"values": VALUES},
        "tests": {"values": None},
    }
    *_, row = accelerator.table(results)
    assert row == "| step | 500 | 2 | 3.0 | 10.0% | 50.0% |"
    assert accelerator.table({"step": {"values": VALUES}})[-1].endswith("| - | - |")


def test_a_layer_and_the_device_are_timed(monkeypatch):
    monkeypatch.setattr(accelerator_tasks, "REPEATS", 1)
    assert accelerator_tasks.device(8)["bytes_per_second"] > 0
    values = accelerator_tasks.layer(2, 3, 4, "blocked")
    assert 0 < values["minimum"] <= values["median"] <= values["maximum"]


def test_time_must_be_positive(capsys):
    with pytest.raises(SystemExit):
        accelerator.main(["--minutes", "0"])
    assert "--minutes: expected a positive number" in capsys.readouterr().err

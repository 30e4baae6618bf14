import json
import re

import pytest

from experiments import report
from experiments.config import flags, rows, saved
from experiments.results import summary
from experiments.training import run as train


def result(**fields):
    return {
        "model": "rotmnist_p4_cnn",
        "dataset": "rotmnist (regenerated)",
        "epochs": 100,
        "seeds": [0, 1],
        "parameters": 24610,
        "num_train": 10000,
        "test_accuracy": 0.975,
        "test_accuracy_by_seed": [0.974, 0.976],
        "test_accuracy_std": 0.001,
        "equivariance": {"group": "p4", "relative": [0.0, 3e-7]},
        "seconds": 5400,
        "environment": {"num_devices": 2, "device": "cpu", "commit": "abc1234"},
        "config": {"num_train": 0},
        **fields,
    }


def write(folder, **fields):
    folder.mkdir(parents=True)
    (folder / "summary.json").write_text(json.dumps(result(**fields)))


def test_every_finished_run_is_a_line(tmp_path, capsys):
    write(tmp_path / "runs" / "p4")
    write(tmp_path / "runs" / "deep" / "short", epochs=30, test_accuracy_std=None, seeds=[0])
    (tmp_path / "runs" / "unfinished").mkdir()
    report.main([f"--runs={tmp_path / 'runs'}", f"--output={tmp_path / 'RESULTS.md'}"])
    table = [line for line in (tmp_path / "RESULTS.md").read_text().splitlines() if line.startswith("| ")]
    assert len(table) == 3
    short, whole = table[1:]
    assert "deep/short (short)" in short
    assert "(short)" not in whole
    for cell in ("97.50 ± 0.10", "2.50 ± 0.10", "24,610", "3.0e-07 (p4)", "1.50", "abc1234", "97.952"):
        assert f"| {cell} |" in whole
    assert {line.count("|") for line in table} == {len(report.COLUMNS) + 1}
    assert "2 runs" in capsys.readouterr().out


def test_each_run_comes_with_its_command_and_remarks_stay(tmp_path):
    write(tmp_path / "p4", config={"model": "rotmnist_p4_cnn", "num_train": 0, "downscale": 2, "gone": 1})
    write(
        tmp_path / "own", model="digits_r4_sa", dataset="digits", config={"model": "digits_r4_sa", "augmentation": []}
    )
    output = tmp_path / "RESULTS.md"
    for _ in range(2):
        report.main([f"--runs={tmp_path}", f"--output={output}"])
        text = output.read_text()
        assert "- p4: `python -m experiments.main --config rotmnist_p4_cnn --config.downscale=2`" in text
        assert "- own: `python -m experiments.main '--config.augmentation=()' --config.model=digits_r4_sa`" in text
        assert "| p4 (short) |" in text
        output.write_text(text + "A remark.\n" if "A remark." not in text else text)
    assert text.count("A remark.") == text.count(report.REMARKS) == 1


def test_the_command_starts_from_the_nearest_row_and_names_no_path_of_the_data():
    config = saved.as_plain(rows.config_of(rows.find("membranes:z2_equal_cost")))
    config |= {"data_dir": "/home/me/membranes.npz", "num_train": 2}
    config["model_overrides"] = config["model_overrides"] | {"depth": 2}
    command = report.command({"config": config, "model": "unet_z2"})
    program = "python -m experiments.main --config membranes:z2_equal_cost"
    assert command == f"{program} --config.data_dir=PATH --config.model_overrides.depth=2 --config.num_train=2"


def test_runs_of_other_places_stay_on_the_page(tmp_path):
    output = tmp_path / "RESULTS.md"
    for name, accuracy in (("here", 0.9), ("there", 0.8), ("there", 0.7)):
        folder = tmp_path / f"{name}-{accuracy}"
        write(folder / name, test_accuracy=accuracy, epochs=30)
        report.main([f"--runs={folder}", f"--output={output}"])
    lines = [line for line in output.read_text().splitlines() if " (short) |" in line]
    assert [line.split(" | ")[3] for line in lines] == ["90.00 ± 0.10", "70.00 ± 0.10"]
    assert output.read_text().count("- here: `python") == output.read_text().count("- there: `python") == 1
    whole = output.read_text()
    report.main([f"--runs={folder}", f"--output={output}"])
    assert output.read_text() == whole


def test_runs_of_one_folder_that_differ_in_their_seeds_are_a_line(tmp_path):
    output, runs = tmp_path / "RESULTS.md", tmp_path / "runs"

    def write_seed(seed, accuracy, *, folder="", **config):
        write(
            runs / (folder or f"p4/seed_{seed}"),
            seeds=[seed],
            test_accuracy=accuracy,
            test_accuracy_by_seed=[accuracy],
            test_accuracy_std=None,
            equivariance={"group": "p4", "relative": [0.0, seed * 1e-7]},
            config={"model": "rotmnist_p4_cnn", "num_train": 0, "seed": seed, "num_seeds": 1, **config},
        )

    def table():
        report.main([f"--runs={runs}", f"--output={output}"])
        lines = [line[2:].split(" | ") for line in output.read_text().splitlines() if line.startswith("| ")]
        return {cells[0]: dict(zip(lines[0], cells, strict=False)) for cells in lines[1:]}

    write_seed(0, 0.97)
    assert list(table()) == ["p4/seed_0"]
    write_seed(2, 0.98)
    write_seed(1, 0.99)
    (row,) = table().values()
    assert row["run"] == "p4"
    assert row["test error"] == "2.00 ± 1.00"
    assert (row["seeds"], row["hours"], row["largest change"]) == ("3", "4.50", "2.0e-07 (p4)")
    command = "python -m experiments.main --config rotmnist_p4_cnn --config.num_seeds=1 --config.seed=$seed"
    workdir = "--workdir runs/rotmnist_p4_cnn/seed_$seed"
    assert f"- p4: `for seed in 0 1 2; do {command} {workdir}; done`" in output.read_text()
    # Another setting, and a seed that is there twice, are not the same run.
    write_seed(3, 0.5, learning_rate=0.1)
    write_seed(0, 0.9, folder="twice/first")
    write_seed(0, 0.9, folder="twice/second")
    assert sorted(table()) == ["p4", "p4/seed_3", "twice/first", "twice/second"]


@pytest.mark.parametrize(
    ("argument", "message"), [("--runs={}", "expected finished runs"), ("--run", "ambiguous|expected")]
)
def test_mistakes_are_one_line_and_code_2(argument, message, tmp_path, capsys):
    with pytest.raises(SystemExit, match="2"):
        report.main([argument.format(tmp_path)])
    error = capsys.readouterr().err
    assert re.search(message, error)
    assert error.count("\n") == 1


def test_a_recorded_run_is_quoted_with_its_command(tiny_config, tmp_path, monkeypatch):
    monkeypatch.setattr(summary, "RECORDED", tmp_path / "recorded")
    tiny_config.model, tiny_config.num_epochs = "tiny_z2", 1
    result = train.run(tiny_config, tmp_path / "z2")
    report.main([f"--record={tmp_path / 'z2'}"])
    quoted = summary.recorded("tiny_z2", "digits")
    assert quoted["test_accuracy"] == result["test_accuracy"]
    command = quoted["command"].split()
    assert command[:3] == ["python", "-m", "experiments.main"]
    assert {"--config.model=tiny_z2", "--config.num_train=70"} <= set(command)
    again = flags.parse(command[3:]).config
    assert saved.as_plain(again) == result["config"]
    assert summary.recorded("tiny_z2", "rotmnist") is None


def test_differences_are_on_the_page_and_stay_with_their_runs(tmp_path):
    z2 = {"model": "rotmnist_z2_cnn", "config": {"num_train": 0, "z2_model": "rotmnist_z2_cnn"}}
    write(tmp_path / "runs" / "p4", config=z2["config"])
    write(tmp_path / "runs" / "z2", **z2, test_accuracy_by_seed=[0.92, 0.93])
    output = tmp_path / "RESULTS.md"
    report.main([f"--runs={tmp_path / 'runs'}", f"--output={output}"])
    row = next(line for line in output.read_text().splitlines() if line.startswith("| z2 | p4 |"))
    assert "| accuracy | 2 and 2 | +0.0500 |" in row
    write(tmp_path / "others" / "deep", epochs=5)
    report.main([f"--runs={tmp_path / 'others'}", f"--output={output}"])
    assert row in output.read_text()

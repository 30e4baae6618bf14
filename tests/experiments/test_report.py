import json
import re

import pytest

from experiments import report
from experiments.config import flags, rows, saved
from experiments.results import collecting, commands, records
from experiments.training import run as train


def write(folder, *, row="rotmnist:p4_cnn", accuracies=(0.974, 0.976), **config):
    """A finished run of the network of a row, with other settings by name."""
    settings = saved.as_plain(rows.config_of(rows.find(row))) | config
    folder.mkdir(parents=True)
    (folder / "summary.json").write_text(
        json.dumps(
            {
                "model": settings["model"],
                "dataset": settings["dataset"],
                "epochs": settings["num_epochs"],
                "seeds": [settings["seed"] + index for index in range(len(accuracies))],
                "parameters": 24610,
                "num_train": settings["num_train"] or 10000,
                "test_accuracy": sum(accuracies) / len(accuracies),
                "test_accuracy_by_seed": list(accuracies),
                "test_accuracy_std": 0.001 if len(accuracies) > 1 else None,
                "test_metrics": {},
                "equivariance": {"group": "p4", "relative": [0.0, (settings["seed"] + 1) * 1e-7]},
                "best_epoch": 2,
                "seconds": 5400,
                "environment": {"num_devices": 2, "device": "cpu", "commit": "abc1234"},
                "config": settings,
            }
        )
    )


def table(output):
    """The rows of the table of all runs."""
    part = output.read_text().partition("## All runs")[2]
    lines = [line[2:-2].split(" | ") for line in part.splitlines() if line.startswith("| ")]
    lines = [line for line in lines if len(line) == len(lines[0])]
    return {line[0]: dict(zip(lines[0], line, strict=True)) for line in lines[1:]}


def test_every_finished_run_is_a_line(tmp_path, capsys):
    output = tmp_path / "RESULTS.md"
    write(tmp_path / "runs" / "p4")
    write(tmp_path / "runs" / "deep" / "brief", accuracies=[0.97], num_epochs=30)
    (tmp_path / "runs" / "unfinished").mkdir()
    report.main([f"--runs={tmp_path / 'runs'}", f"--output={output}"])
    rows_of_table = table(output)
    assert set(rows_of_table) == {"p4", "deep/brief (short)"}
    expected = {
        "test accuracy": "97.50 ± 0.10",
        "test error": "2.50 ± 0.10",
        "parameters": "24,610",
        "largest change": "1.0e-07 (p4)",
        "hours": "1.50",
        "commit": "abc1234",
        "published accuracy": "97.952",
        "seeds": "2",
        "test reads": "1",
    }
    assert {name: rows_of_table["p4"][name] for name in expected} == expected
    assert "2 runs recorded" in capsys.readouterr().out
    assert output.with_suffix(".svg").read_text().startswith("<?xml")
    # Runs stay on the page without their folders.
    before = output.read_text()
    report.main([f"--output={output}"])
    assert output.read_text() == before


def test_the_best_validation_and_later_reads_of_the_test_split(tmp_path):
    output = tmp_path / "RESULTS.md"
    write(tmp_path / "runs" / "p4")
    epochs = [{"kind": "epoch", "epoch": epoch, "validation_accuracy": epoch / 10} for epoch in (1, 2, 3)]
    (tmp_path / "runs" / "p4" / "metrics.jsonl").write_text("".join(f"{json.dumps(record)}\n" for record in epochs))
    (tmp_path / "runs" / "p4" / "test_reads.jsonl").write_text('{"command": "training"}\n{"command": "evaluate"}\n')
    report.main([f"--runs={tmp_path / 'runs'}", f"--output={output}"])
    assert (table(output)["p4"]["validation"], table(output)["p4"]["test reads"]) == ("0.2000", "2")


def test_each_run_comes_with_its_command(tmp_path):
    write(tmp_path / "runs" / "p4", downscale=2)
    write(tmp_path / "runs" / "own", row="digits:alpha_f_p4_cnn", model="digits_r4_sa", augmentation=[])
    output = tmp_path / "RESULTS.md"
    report.main([f"--runs={tmp_path / 'runs'}", f"--output={output}"])
    text = output.read_text()
    assert "- p4: `python -m experiments.main --config rotmnist_p4_cnn --config.downscale=2`" in text
    assert "- own: `python -m experiments.main '--config.augmentation=()' --config.model=digits_r4_sa`" in text
    assert "p4 (short)" in table(output)


def test_the_command_starts_from_the_nearest_row_and_names_no_path_of_the_data():
    config = saved.as_plain(rows.config_of(rows.find("membranes:z2_equal_cost")))
    config |= {"data_dir": "/home/me/membranes.npz", "num_train": 2}
    config["model_overrides"] = config["model_overrides"] | {"depth": 2}
    command = commands.command({"config": config, "model": "unet_z2"})
    program = "python -m experiments.main --config membranes:z2_equal_cost"
    assert command == f"{program} --config.data_dir=PATH --config.model_overrides.depth=2 --config.num_train=2"


def test_runs_of_one_folder_that_differ_in_their_seeds_are_a_line(tmp_path):
    output, runs = tmp_path / "RESULTS.md", tmp_path / "runs"

    def write_seed(seed, accuracy, *, folder="", **config):
        write(runs / (folder or f"p4/seed_{seed}"), accuracies=[accuracy], seed=seed, num_seeds=1, **config)

    def page():
        report.main([f"--runs={runs}", f"--output={output}"])
        return table(output)

    write_seed(0, 0.97)
    assert list(page()) == ["p4/seed_0"]
    write_seed(2, 0.98)
    write_seed(1, 0.99)
    (row,) = page().values()
    assert row["run"] == "p4"
    assert row["test error"] == "2.00 ± 1.00"
    assert (row["seeds"], row["hours"], row["largest change"]) == ("3", "4.50", "3.0e-07 (p4)")
    command = "python -m experiments.main --config rotmnist_p4_cnn --config.num_seeds=1 --config.seed=$seed"
    workdir = "--workdir runs/rotmnist_p4_cnn/seed_$seed"
    assert f"- p4: `for seed in 0 1 2; do {command} {workdir}; done`" in output.read_text()
    # Another setting, and a seed that is there twice, are not the same run.
    write_seed(3, 0.5, learning_rate=0.1)
    write_seed(0, 0.6, folder="p4/a_first_one", learning_rate=0.2)
    write_seed(0, 0.9, folder="twice/first")
    write_seed(0, 0.9, folder="twice/second")
    assert sorted(page()) == ["p4", "p4/a_first_one", "p4/seed_3", "twice/first", "twice/second"]


def test_averages_over_a_group_that_every_seed_has(tmp_path):
    for seed, groups in ((0, ("p4", "r8")), (1, ("p4",))):
        folder = tmp_path / "runs" / "p4" / f"seed_{seed}"
        write(folder, accuracies=[0.97], seed=seed, num_seeds=1)
        kept = {"split": "test", "over_seeds": False, "metrics": {"accuracy": 0.98 + seed / 100}}
        lines = [{**kept, "over_group": group} for group in (*groups, None)]
        (folder / "evaluations.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    report.main([f"--runs={tmp_path / 'runs'}", f"--output={tmp_path / 'RESULTS.md'}"])
    text = (tmp_path / "RESULTS.md").read_text()
    assert "| p4 | p4 |  | 1.50 | 3.00 |" in text
    assert "| p4 | r8 |" not in text


@pytest.mark.parametrize(
    ("metrics", "metric", "scores"),
    [
        ({"auc": {"value": 0.9}}, "auc", [0.9]),
        ({}, "accuracy", [0.97]),
        ({"auc": {"value": 0.9}}, "accuracy", [0.97]),
    ],
    ids=["the one that selects", "not recorded", "selected by accuracy"],
)
def test_a_run_is_judged_by_the_metric_that_selects_its_epoch(metrics, metric, scores, tmp_path):
    by_accuracy = metric == "accuracy" and bool(metrics)
    write(tmp_path / "run", accuracies=[0.97], best_metric="accuracy" if by_accuracy else "auc")
    result = {**collecting.collect(tmp_path)["run"], "test_metrics": metrics}
    found = collecting.record_of(result, "")
    assert (found["metric"], found["scores"]) == (metric, scores)


@pytest.mark.parametrize(
    ("argument", "message"),
    [("--runs={}", "expected finished runs"), ("--run", "ambiguous|expected"), ("--output={}/R.md", "neither")],
)
def test_mistakes_are_one_line_and_code_2(argument, message, tmp_path, capsys):
    with pytest.raises(SystemExit, match="2"):
        report.main([argument.format(tmp_path)])
    error = capsys.readouterr().err
    assert re.search(message, error)
    assert error.count("\n") == 1


def test_a_recorded_run_is_quoted_with_its_command(tiny_config, tmp_path, monkeypatch):
    output = tmp_path / "RESULTS.md"
    monkeypatch.setattr(records, "FOLDER", tmp_path / "recorded")
    tiny_config.model, tiny_config.num_epochs = "tiny_z2", 1
    result = train.run(tiny_config, tmp_path / "runs" / "z2")
    report.main([f"--runs={tmp_path / 'runs'}", f"--output={output}"])
    asking = tiny_config.copy_and_resolve_references()
    asking.model, asking.z2_model = "tiny_p4", "tiny_z2"
    quoted = records.baseline(asking)
    assert quoted["test_accuracy"] == result["test_accuracy"]
    command = quoted["command"].split()
    assert command[:3] == ["python", "-m", "experiments.main"]
    assert {"--config.model=tiny_z2", "--config.num_train=70"} <= set(command)
    again = flags.parse(command[3:]).config
    assert saved.as_plain(again) == result["config"]
    asking.downscale = 2
    assert records.baseline(asking) is None
    asking.downscale, asking.dataset = 1, "rotmnist"
    assert records.baseline(asking) is None


def test_differences_are_on_the_page(tmp_path):
    write(tmp_path / "runs" / "p4")
    write(tmp_path / "runs" / "z2", row="rotmnist:z2_cnn", accuracies=[0.92, 0.93])
    output = tmp_path / "RESULTS.md"
    report.main([f"--runs={tmp_path / 'runs'}", f"--output={output}"])
    row = next(line for line in output.read_text().splitlines() if line.startswith("| z2 | p4 |"))
    assert "| accuracy | 2 and 2 | +0.0500 |" in row

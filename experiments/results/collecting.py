"""From finished runs to records: the summaries below a directory, with the runs of different seeds merged."""

import json
import pathlib
import statistics
from typing import Any

import numpy as np

from experiments.config import default_config, saved
from experiments.errors import UserError
from experiments.results import summary
from experiments.results.inputs import evaluations, test_reads
from experiments.results.logs import read_metrics
from experiments.trained.build import model_overrides
from gequi_jax import models

# What a summary has beside the fields of a record.
_LEFT_OUT = (
    "config",
    "z2",
    "task",
    "class_names",
    "confusion_matrix",
    "images_per_second",
    "waiting_for_input",
    "compile_seconds",
    "best_epoch",
    "test_metrics",
    "test_metrics_by_seed",
    "separate_seeds",
)
# Where the best epoch is selected by one of these, a run is judged by its accuracy.
_BY_ACCURACY = ("accuracy", "loss")


def collect(folder: pathlib.Path) -> dict[str, dict[str, Any]]:
    """The summaries of all finished runs below a directory, by the path of the work directory.

    Each has the validation metric of its best epoch as well, if its metrics.jsonl is there, counts the later reads of the
    test split, and has the accuracies of later averages over a group.

    Raises:
      UserError: it contains no finished run.
    """
    paths = sorted(folder.rglob(summary.FILE)) if folder.is_dir() else []
    summaries = {path.parent: summary.load(path.parent) for path in paths}
    runs = {
        str(workdir.relative_to(folder)): {
            **result,
            "validation_by_run": [_best_validation(workdir, result)],
            "test_reads": max(test_reads(workdir), 1),
            "averages": _averages(workdir),
        }
        for workdir, result in summaries.items()
        if result is not None
    }
    if not runs:
        raise UserError(
            f"--runs: expected finished runs below {str(folder)!r}; got no {summary.FILE}; choose another directory"
        )
    return runs


def _best_validation(workdir: pathlib.Path, result: dict[str, Any]) -> float | None:
    """The metric by which the best epoch was selected, on the validation split, at that epoch."""
    name = f"validation_{result['config'].get('best_metric', 'accuracy')}"
    epochs = [record for record in read_metrics(workdir) if record["kind"] == "epoch"]
    return next((record[name] for record in epochs if record["epoch"] == result.get("best_epoch")), None)


def _averages(workdir: pathlib.Path) -> dict[str, dict[str, list[float]]]:
    """The accuracies of averages over a group, by group and split; of several alike, the last."""
    found: dict[str, dict[str, list[float]]] = {}
    for kept in evaluations(workdir):
        if kept["over_group"] and not kept["over_seeds"]:
            found.setdefault(kept["over_group"], {})[kept["split"]] = [kept["metrics"]["accuracy"]]
    return found


def merge_seeds(runs: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Merges the runs of a folder that differ only in their seeds into one run with the name of the folder.

    Args:
      runs: summaries by the path of the work directory.

    Returns:
      Summaries by name.
    """
    alike: dict[tuple[str, str], dict[str, dict[str, Any]]] = {}
    for name, result in runs.items():
        same = {field: value for field, value in result["config"].items() if field not in ("seed", "num_seeds")}
        counts = [result[field] for field in ("model", "dataset", "epochs", "num_train")]
        alike.setdefault((str(pathlib.PurePath(name).parent), json.dumps([same, counts])), {})[name] = result
    merged = {}
    for (folder, _), members in alike.items():
        seeds = [seed for result in members.values() for seed in result["seeds"]]
        if len(members) == 1 or folder == "." or len(set(seeds)) < len(seeds) or folder in merged:
            merged |= members
        else:
            merged[folder] = _merged(sorted(members.values(), key=lambda result: result["seeds"]))
    return merged


def _merged(results: list[dict[str, Any]]) -> dict[str, Any]:
    accuracies = [accuracy for result in results for accuracy in result["test_accuracy_by_seed"]]
    changes = [result["equivariance"] for result in results if result.get("equivariance")]
    turned = [result["quarter_turn_accuracy"] for result in results if result.get("quarter_turn_accuracy")]
    commits = sorted({result["environment"]["commit"] or "" for result in results})
    return {
        **results[0],
        "seeds": [seed for result in results for seed in result["seeds"]],
        "separate_seeds": True,
        "test_reads": sum(result["test_reads"] for result in results),
        "test_accuracy": statistics.mean(accuracies),
        "test_accuracy_by_seed": accuracies,
        "test_accuracy_std": statistics.stdev(accuracies),
        "test_accuracy_interval": None,
        "quarter_turn_accuracy": np.mean(turned, axis=0).tolist() if len(turned) == len(results) else None,
        "test_metrics_by_seed": [result["test_metrics"] for result in results if result.get("test_metrics")],
        "validation_by_run": [value for result in results for value in result["validation_by_run"]],
        "averages": _merged_averages([result["averages"] for result in results]),
        "equivariance": max(changes, key=lambda change: max(change["relative"]), default=None),
        "seconds": sum(result["seconds"] for result in results),
        "environment": {**results[0]["environment"], "commit": ", ".join(filter(None, commits))},
    }


def _merged_averages(of_runs: list[dict[str, dict[str, list[float]]]]) -> dict[str, dict[str, list[float]]]:
    """Those that every run has, run by run."""
    merged: dict[str, dict[str, list[float]]] = {}
    for group, splits in of_runs[0].items():
        for split in splits:
            if all(split in averages.get(group, {}) for averages in of_runs):
                joined = [value for averages in of_runs for value in averages[group][split]]
                merged.setdefault(group, {})[split] = joined
    return merged


def record_of(result: dict[str, Any], command: str) -> dict[str, Any]:
    """The record of a (merged) run: its summary without tables and speed, with the command that repeats it.

    `flops` are the operations of one image, and `scores` the metric on the test set that selects the epoch on the
    validation split, seed by seed.
    """
    config = saved.from_plain(result["config"])
    metric = _metric(result)
    return {
        **{name: value for name, value in result.items() if name not in _LEFT_OUT},
        "flops": models.model_info(result["model"], **model_overrides(config)).flops,
        "metric": metric,
        "scores": _scores(result, metric),
        "command": command,
        # Where the data lay is of that machine.
        "config": {**result["config"], "data_dir": default_config().data_dir},
    }


def _metric(result: dict[str, Any]) -> str:
    """The metric that a run is judged by: the one that selects its best epoch, or the accuracy."""
    metric = result["config"].get("best_metric", "accuracy")
    return "accuracy" if metric in _BY_ACCURACY or not _scores(result, metric) else metric


def _scores(result: dict[str, Any], metric: str) -> list[float]:
    """The metric on the test set, seed by seed; empty where it was not recorded for each seed."""
    if metric == "accuracy":
        return list(result["test_accuracy_by_seed"])
    by_seed = result.get("test_metrics_by_seed") or [result["test_metrics"]]
    values = [metrics[metric]["value"] for metrics in by_seed if metric in metrics]
    return values if len(values) == len(result["seeds"]) else []

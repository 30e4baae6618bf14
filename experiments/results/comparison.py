"""Differences between finished runs over their seeds, with intervals and a test of significance."""

import dataclasses
import itertools
import statistics
from collections.abc import Mapping
from typing import Any

from scipy import stats

# What the best epoch is selected by, where it is not a metric of the test set of its own.
_BY_ACCURACY = ("accuracy", "loss")


@dataclasses.dataclass(frozen=True)
class Difference:
    """How much larger the metric of the second run is, by Welch's t-test over seeds.

    Attributes:
      metric: its name.
      mean: the mean of the second minus the mean of the first.
      low, high: the 95 % confidence interval of the difference.
      p: the two-sided p-value of no difference, not corrected for the number of comparisons.
      seeds: the number of seeds of the first and the second run.
    """

    metric: str
    mean: float
    low: float
    high: float
    p: float
    seeds: tuple[int, int]


def metric_of(result: Mapping[str, Any]) -> str:
    """The metric that a run is judged by: the one that selects its best epoch, or the accuracy."""
    metric = result["config"].get("best_metric", "accuracy")
    return "accuracy" if metric in _BY_ACCURACY or not scores(result, metric) else metric


def scores(result: Mapping[str, Any], metric: str) -> list[float]:
    """The metric on the test set, seed by seed; empty where it was not recorded for each seed."""
    if metric == "accuracy":
        return list(result["test_accuracy_by_seed"])
    by_seed = result.get("test_metrics_by_seed") or [result["test_metrics"]]
    values = [metrics[metric]["value"] for metrics in by_seed if metric in metrics]
    return values if len(values) == len(result["seeds"]) else []


def difference(first: Mapping[str, Any], second: Mapping[str, Any]) -> Difference | None:
    """The difference between two runs, or None for other metrics, or a run of one seed."""
    metric = metric_of(first)
    samples = scores(first, metric), scores(second, metric)
    if metric_of(second) != metric or min(map(len, samples)) < 2:
        return None
    test: Any = stats.ttest_ind(samples[1], samples[0], equal_var=False)
    interval = test.confidence_interval(0.95)
    mean = statistics.fmean(samples[1]) - statistics.fmean(samples[0])
    return Difference(
        metric, mean, float(interval.low), float(interval.high), float(test.pvalue), (len(samples[0]), len(samples[1]))
    )


def differences(runs: Mapping[str, Mapping[str, Any]]) -> dict[tuple[str, str], Difference]:
    """Each run against the run without a group, and against the next better one, of the same data and training.

    Args:
      runs: summaries by name.
    """
    alike: dict[tuple, list[str]] = {}
    for name, result in runs.items():
        if len(scores(result, metric_of(result))) > 1:
            key = (result["dataset"], metric_of(result), result["epochs"], result["num_train"])
            alike.setdefault(key, []).append(name)
    pairs = []
    for names in alike.values():
        ranked = sorted(names, key=lambda name: statistics.fmean(scores(runs[name], metric_of(runs[name]))))
        baselines = {runs[name]["config"].get("z2_model") for name in names}
        pairs += [
            (baseline, name)
            for baseline in ranked
            if runs[baseline]["model"] in baselines
            for name in ranked
            if name != baseline
        ]
        pairs += itertools.pairwise(ranked)
    found = {pair: difference(runs[pair[0]], runs[pair[1]]) for pair in dict.fromkeys(pairs)}
    return {pair: value for pair, value in found.items() if value is not None}

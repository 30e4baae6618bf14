"""Differences between finished runs over their seeds, with intervals and a test of significance."""

import dataclasses
import itertools
import statistics
from collections.abc import Mapping
from typing import Any

from scipy import stats


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


def difference(first: Mapping[str, Any], second: Mapping[str, Any]) -> Difference | None:
    """The difference between two records, or None for other metrics, or a run of one seed."""
    samples = first["scores"], second["scores"]
    if first["metric"] != second["metric"] or min(map(len, samples)) < 2:
        return None
    test: Any = stats.ttest_ind(samples[1], samples[0], equal_var=False)
    interval = test.confidence_interval(0.95)
    mean = statistics.fmean(samples[1]) - statistics.fmean(samples[0])
    return Difference(
        first["metric"],
        mean,
        float(interval.low),
        float(interval.high),
        float(test.pvalue),
        (len(samples[0]), len(samples[1])),
    )


def differences(records: Mapping[str, Mapping[str, Any]]) -> dict[tuple[str, str], Difference]:
    """Each run against the run without a group, and against the next better one, of the same data and training.

    Args:
      records: of finished runs by name.
    """
    alike: dict[tuple, list[str]] = {}
    for name, record in records.items():
        if len(record["scores"]) > 1:
            key = tuple(record[field] for field in ("dataset", "metric", "epochs", "num_train"))
            alike.setdefault(key, []).append(name)
    pairs = []
    for names in alike.values():
        ranked = sorted(names, key=lambda name: statistics.fmean(records[name]["scores"]))
        baselines = {records[name]["config"].get("z2_model") for name in names}
        pairs += [
            (baseline, name)
            for baseline in ranked
            if records[baseline]["model"] in baselines
            for name in ranked
            if name != baseline
        ]
        pairs += itertools.pairwise(ranked)
    found = {pair: difference(records[pair[0]], records[pair[1]]) for pair in dict.fromkeys(pairs)}
    return {pair: value for pair, value in found.items() if value is not None}

"""Differences between runs over seeds, against Welch's formulas."""

import math
import statistics

import pytest
from scipy import stats

from experiments.results import comparison

FIRST, SECOND = [0.80, 0.82, 0.81], [0.86, 0.85, 0.90, 0.87]


def run(values, *, metric="auc", model="volume_octahedral_cnn", **fields):
    return {
        "model": model,
        "dataset": "adrenalmnist3d",
        "epochs": 24,
        "num_train": 1188,
        "metric": metric,
        "scores": values,
        "config": {"z2_model": "volume_z2_cnn"},
        **fields,
    }


def test_it_is_welchs_test():
    found = comparison.difference(run(FIRST), run(SECOND))
    variances = [statistics.variance(values) / len(values) for values in (FIRST, SECOND)]
    error = math.sqrt(sum(variances))
    degrees = sum(variances) ** 2 / sum(
        variance**2 / (len(values) - 1) for variance, values in zip(variances, (FIRST, SECOND), strict=True)
    )
    mean = statistics.fmean(SECOND) - statistics.fmean(FIRST)
    half = stats.t.ppf(0.975, degrees) * error
    assert (found.metric, found.seeds) == ("auc", (3, 4))
    assert found.mean == pytest.approx(mean)
    assert (found.low, found.high) == pytest.approx((mean - half, mean + half))
    assert found.p == pytest.approx(2 * stats.t.sf(mean / error, degrees))


def test_equal_samples_differ_by_nothing():
    found = comparison.difference(run(FIRST), run(FIRST))
    assert found.mean == 0
    assert found.p == pytest.approx(1)


@pytest.mark.parametrize("other", [run(SECOND[:1]), run(SECOND, metric="f1")], ids=["one seed", "another metric"])
def test_what_cannot_be_compared(other):
    assert comparison.difference(run(FIRST), other) is None


def test_each_run_meets_the_baseline_and_its_neighbour():
    runs = {
        "z2": run(FIRST, model="volume_z2_cnn"),
        "best": run([0.9, 0.91]),
        "middle": run(SECOND),
        "single": run([0.95]),
        "other data": run(SECOND, dataset="another"),
    }
    assert set(comparison.differences(runs)) == {("z2", "middle"), ("z2", "best"), ("middle", "best")}

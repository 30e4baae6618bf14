"""Classification metrics by scikit-learn, with confidence intervals from a bootstrap over the examples."""

import warnings
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from experiments.data import CLASSES, MULTI_LABEL, ORDINAL
from experiments.results import metrics
from experiments.results.intervals import percentile_interval, plain

RESAMPLES = 200
# Above this many examples, fewer resamples take as long.
_EXAMPLES = 5_000

Values = Callable[[np.ndarray, np.ndarray], float]


def classification_metrics(logits: np.ndarray, labels: np.ndarray, task: str, *, seed: int = 0) -> dict[str, Any]:
    """Every metric of a task with its 95 % interval: Wilson's for the accuracy, otherwise percentiles of a bootstrap.

    Args:
      logits: `[n, classes]`, or `[seeds, n, classes]`, whose metrics are averaged over seeds.
      labels: `[n]`, or `[n, classes]` of 0 and 1.
      task: "classes", "multi_label" or "ordinal".
      seed: of the resampling.

    Returns:
      name -> `{"value": ..., "interval": [low, high]}`. A metric without a meaning on these labels is None.
    """
    probabilities = metrics.probabilities(logits, task)
    probabilities = probabilities[None] if probabilities.ndim == 2 else probabilities
    number = max(20, RESAMPLES * _EXAMPLES // max(_EXAMPLES, len(labels)))
    draws = np.random.default_rng(seed).integers(0, len(labels), (number, len(labels)))
    result = {}
    for name, function in METRICS[task].items():
        value = _mean(function, labels, probabilities)
        resampled = [_mean(function, labels[draw], probabilities[:, draw]) for draw in draws]
        result[name] = {"value": plain(value), "interval": percentile_interval(resampled)}
    if task != MULTI_LABEL:
        # A bootstrap of answers that are all right has no width.
        interval = metrics.confidence_interval(result["accuracy"]["value"], len(labels))
        result["accuracy"]["interval"] = list(interval)
    return result


def metric(name: str, logits: np.ndarray, labels: np.ndarray, task: str) -> np.ndarray:
    """One metric of `METRICS`, or the negative loss, of every seed where there are several; larger is better.

    Args:
      name: of the metric.
      logits: `[..., n, classes]`.
      labels: `[n]` or `[n, classes]`.
      task: of the labels.
    """
    if name == "loss":
        return -np.asarray(metrics.summarize(logits, labels, task)["loss"])
    probabilities = metrics.probabilities(logits, task)
    if probabilities.ndim == 2:
        return np.asarray(_quiet(METRICS[task][name], labels, probabilities))
    return np.asarray([_quiet(METRICS[task][name], labels, of_seed) for of_seed in probabilities])


def _one_hot(labels: np.ndarray, count: int) -> np.ndarray:
    return labels if labels.ndim == 2 else np.eye(count, dtype=int)[labels]


def _by_class(function: Callable[..., float], labels: np.ndarray, probabilities: np.ndarray) -> float:
    """The mean over the classes that have examples inside and outside."""
    targets = _one_hot(labels, probabilities.shape[-1])
    has_both = (targets.min(axis=0) == 0) & (targets.max(axis=0) == 1)
    if not has_both.any():
        return np.nan
    return float(np.mean([function(targets[:, k], probabilities[:, k]) for k in np.flatnonzero(has_both)]))


def _auc(labels: np.ndarray, probabilities: np.ndarray) -> float:
    from sklearn.metrics import roc_auc_score

    return _by_class(roc_auc_score, labels, probabilities)


def _average_precision(labels: np.ndarray, probabilities: np.ndarray) -> float:
    from sklearn.metrics import average_precision_score

    return _by_class(average_precision_score, labels, probabilities)


def _accuracy(labels: np.ndarray, probabilities: np.ndarray) -> float:
    return float(np.mean(_answers(labels, probabilities) == labels))


def _balanced_accuracy(labels: np.ndarray, probabilities: np.ndarray) -> float:
    from sklearn.metrics import balanced_accuracy_score

    answers = _answers(labels, probabilities)
    if labels.ndim == 1:
        return float(balanced_accuracy_score(labels, answers))
    return float(np.mean([balanced_accuracy_score(*pair) for pair in zip(labels.T, answers.T, strict=True)]))


def _f1(labels: np.ndarray, probabilities: np.ndarray) -> float:
    from sklearn.metrics import f1_score

    return float(f1_score(labels, _answers(labels, probabilities), average="macro", zero_division=0))  # pyright: ignore[reportArgumentType]


def _brier(labels: np.ndarray, probabilities: np.ndarray) -> float:
    targets = _one_hot(labels, probabilities.shape[-1])
    return float(np.mean(((probabilities - targets) ** 2).sum(axis=-1)))


def _absolute_error(labels: np.ndarray, probabilities: np.ndarray) -> float:
    from sklearn.metrics import mean_absolute_error

    return float(mean_absolute_error(labels, _answers(labels, probabilities)))


def _kappa(labels: np.ndarray, probabilities: np.ndarray) -> float:
    from sklearn.metrics import cohen_kappa_score

    return float(cohen_kappa_score(labels, _answers(labels, probabilities), weights="quadratic"))


_ANY: Mapping[str, Values] = {
    "auc": _auc,
    "accuracy": _accuracy,
    "balanced_accuracy": _balanced_accuracy,
    "average_precision": _average_precision,
    "f1": _f1,
    "brier_score": _brier,
}
METRICS: Mapping[str, Mapping[str, Values]] = {
    CLASSES: _ANY,
    MULTI_LABEL: _ANY,
    ORDINAL: {**_ANY, "mean_absolute_error": _absolute_error, "quadratic_kappa": _kappa},
}
# By which the best epoch may be chosen: all of which more is better, and the loss.
SELECTABLE = ("accuracy", "loss", "auc", "balanced_accuracy", "average_precision", "f1")


def _answers(labels: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    return (probabilities > 0.5).astype(int) if labels.ndim == 2 else probabilities.argmax(axis=-1)


def _quiet(function: Values, labels: np.ndarray, probabilities: np.ndarray) -> float:
    with warnings.catch_warnings():
        # Of classes that a resample happens to lack.
        warnings.simplefilter("ignore")
        return function(labels, probabilities)


def _mean(function: Values, labels: np.ndarray, probabilities: np.ndarray) -> float:
    return float(np.mean([_quiet(function, labels, of_seed) for of_seed in probabilities]))

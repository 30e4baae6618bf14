"""Metrics of logits on a split."""

from typing import Any

import numpy as np
from scipy.special import log_softmax
from scipy.stats import binomtest
from sklearn import metrics


def summarize(logits: np.ndarray, labels: np.ndarray) -> dict[str, Any]:
    """Cross-entropy loss and accuracy, of each seed if there are several.

    Args:
      logits: `[..., n, classes]`.
      labels: `[n]`.
    """
    log_probabilities = log_softmax(logits, axis=-1)
    labels_like = np.broadcast_to(labels, logits.shape[:-1])[..., None]
    losses = -np.take_along_axis(log_probabilities, labels_like, axis=-1)[..., 0]
    return {"loss": losses.mean(axis=-1), "accuracy": (logits.argmax(axis=-1) == labels).mean(axis=-1)}


def confusion_matrix(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Counts `[true class, predicted class]`, summed over seeds."""
    predicted = logits.argmax(axis=-1)
    true = np.broadcast_to(labels, predicted.shape)
    return metrics.confusion_matrix(true.ravel(), predicted.ravel(), labels=range(logits.shape[-1]))


def calibration_error(logits: np.ndarray, labels: np.ndarray, *, num_bins: int = 15) -> np.ndarray:
    """Expected calibration error, of each seed if there are several.

        sum over bins b of (n_b / n) |mean confidence in b - accuracy in b|,   bins of equal width over [0, 1]

    Args:
      logits: `[..., n, classes]`.
      labels: `[n]`.
      num_bins: number of bins.
    """
    confidence = np.exp(log_softmax(logits, axis=-1)).max(axis=-1)
    correct = logits.argmax(axis=-1) == labels
    bins = np.minimum((confidence * num_bins).astype(int), num_bins - 1)
    gaps = [np.abs(((confidence - correct) * (bins == index)).mean(axis=-1)) for index in range(num_bins)]
    return np.sum(gaps, axis=0)


def confidence_interval(accuracy: float, count: int) -> tuple[float, float]:
    """The 95 % Wilson interval of an accuracy on `count` examples.

    The mean accuracy of several seeds is rounded to a whole number of correct answers.
    """
    interval = binomtest(round(accuracy * count), count).proportion_ci(0.95, method="wilson")
    return float(interval.low), float(interval.high)

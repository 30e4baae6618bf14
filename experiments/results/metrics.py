"""Metrics of logits on a split."""

from typing import Any

import numpy as np
from scipy.special import expit, log_expit, log_softmax, logit, softmax
from scipy.stats import binomtest
from sklearn import metrics

from experiments.data import CLASSES, MULTI_LABEL


def probabilities(logits: np.ndarray, task: str = CLASSES) -> np.ndarray:
    """The softmax of logits, or their sigmoid if an image may have several labels; `[..., n, classes]`."""
    logits = np.asarray(logits, np.float64)
    return expit(logits) if task == MULTI_LABEL else softmax(logits, axis=-1)


def logits_of(probabilities: np.ndarray, task: str = CLASSES) -> np.ndarray:
    """Logits with these probabilities, such as an average over a group."""
    bounded = np.clip(probabilities, np.finfo(np.float64).tiny, 1)
    return logit(np.clip(bounded, None, 1 - 1e-16)) if task == MULTI_LABEL else np.log(bounded)


def summarize(logits: np.ndarray, labels: np.ndarray, task: str = CLASSES) -> dict[str, Any]:
    """Cross-entropy loss and accuracy, of each seed if there are several.

    Args:
      logits: `[..., n, classes]`.
      labels: `[n]`, or `[n, classes]` of 0 and 1, whose mean over classes is taken.
      task: what labels mean.
    """
    if task == MULTI_LABEL:
        losses = -np.where(labels > 0, log_expit(logits), log_expit(-logits))
        return {"loss": losses.mean(axis=(-2, -1)), "accuracy": ((logits > 0) == (labels > 0)).mean(axis=(-2, -1))}
    log_probabilities = log_softmax(logits, axis=-1)
    labels_like = np.broadcast_to(labels, logits.shape[:-1])[..., None]
    losses = -np.take_along_axis(log_probabilities, labels_like, axis=-1)[..., 0]
    return {"loss": losses.mean(axis=-1), "accuracy": (logits.argmax(axis=-1) == labels).mean(axis=-1)}


def confusion_matrix(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Counts `[true class, predicted class]`, or of several labels `[class, true, predicted]`; summed over seeds."""
    if labels.ndim == 2:
        true = np.broadcast_to(labels, logits.shape).reshape(-1, labels.shape[1])
        return metrics.multilabel_confusion_matrix(true, (logits > 0).astype(int).reshape(true.shape))
    predicted = logits.argmax(axis=-1)
    true = np.broadcast_to(labels, predicted.shape)
    return metrics.confusion_matrix(true.ravel(), predicted.ravel(), labels=range(logits.shape[-1]))


def calibration_error(logits: np.ndarray, labels: np.ndarray, *, num_bins: int = 15) -> np.ndarray:
    """Expected calibration error, of each seed if there are several.

        sum over bins b of (n_b / n) |mean confidence in b - accuracy in b|,   bins of equal width over [0, 1]

    Args:
      logits: `[..., n, classes]`.
      labels: `[n]`, or `[n, classes]` of 0 and 1, each of which is an answer.
      num_bins: number of bins.
    """
    if labels.ndim == 2:
        present = expit(logits).reshape(*logits.shape[:-2], -1)
        confidence, correct = np.maximum(present, 1 - present), (present > 0.5) == (labels.reshape(-1) > 0)
    else:
        confidence, correct = np.exp(log_softmax(logits, axis=-1)).max(axis=-1), logits.argmax(axis=-1) == labels
    bins = np.minimum((confidence * num_bins).astype(int), num_bins - 1)
    gaps = [np.abs(((confidence - correct) * (bins == index)).mean(axis=-1)) for index in range(num_bins)]
    return np.sum(gaps, axis=0)


def confidence_interval(accuracy: float, count: int) -> tuple[float, float]:
    """The 95 % Wilson interval of an accuracy on `count` examples.

    The mean accuracy of several seeds is rounded to a whole number of correct answers.
    """
    interval = binomtest(round(accuracy * count), count).proportion_ci(0.95, method="wilson")
    return float(interval.low), float(interval.high)

"""Metrics of logits on a split."""

from typing import Any

import numpy as np

from experiments.data import CLASSES, MULTI_LABEL


def probabilities(logits: np.ndarray, task: str = CLASSES) -> np.ndarray:
    """Softmax of the logits, or of several labels at once their sigmoid; `[..., n, classes]`."""
    logits = np.asarray(logits, np.float64)
    if task == MULTI_LABEL:
        return np.exp(-np.logaddexp(0, -logits))
    return np.exp(_log_softmax(logits))


def logits_of(probabilities: np.ndarray, task: str = CLASSES) -> np.ndarray:
    """Logits that have these probabilities, such as averages over a group."""
    smallest = np.finfo(np.float64).tiny
    present = np.log(np.maximum(probabilities, smallest))
    return present - np.log(np.maximum(1 - probabilities, smallest)) if task == MULTI_LABEL else present


def summarize(logits: np.ndarray, labels: np.ndarray, task: str = CLASSES) -> dict[str, Any]:
    """Loss and accuracy, of every seed where there are several.

    Args:
      logits: `[..., n, classes]`.
      labels: `[n]`, or `[n, classes]` of 0 and 1.
      task: "classes", "multi_label" or "ordinal".
    """
    if task == MULTI_LABEL:
        losses = np.where(labels > 0, np.logaddexp(0, -logits), np.logaddexp(0, logits)).mean(axis=-1)
        return {"loss": losses.mean(axis=-1), "accuracy": ((logits > 0) == (labels > 0)).mean(axis=(-2, -1))}
    log_probabilities = _log_softmax(logits)
    losses = -np.take_along_axis(log_probabilities, _like(labels, logits), axis=-1)[..., 0]
    return {
        "loss": losses.mean(axis=-1),
        "accuracy": (logits.argmax(axis=-1) == labels).mean(axis=-1),
    }


def confusion_matrix(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Counts `[true class, predicted class]`, summed over seeds; of several labels `[class, true, predicted]`."""
    num_classes = logits.shape[-1]
    if labels.ndim == 2:
        by_label = np.zeros((num_classes, 2, 2), np.int64)
        classes = np.broadcast_to(np.arange(num_classes), logits.shape)
        np.add.at(by_label, (classes, np.broadcast_to(labels, logits.shape), (logits > 0).astype(int)), 1)
        return by_label
    matrix = np.zeros((num_classes, num_classes), np.int64)
    np.add.at(matrix, (np.broadcast_to(labels, logits.shape[:-1]), logits.argmax(axis=-1)), 1)
    return matrix


def calibration_error(logits: np.ndarray, labels: np.ndarray, *, num_bins: int = 15) -> np.ndarray:
    """Expected calibration error: mean distance of confidence and accuracy over equal bins of confidence.

    Args:
      logits: `[..., n, classes]`.
      labels: `[n]`, or `[n, classes]` of 0 and 1, each of which is an answer.
      num_bins: equal intervals of [0, 1].

    Returns:
      One number for each seed.
    """
    if labels.ndim == 2:
        present = probabilities(logits, MULTI_LABEL).reshape(*logits.shape[:-2], -1)
        confidence, correct = np.maximum(present, 1 - present), (present > 0.5) == (labels.reshape(-1) > 0)
    else:
        confidence, correct = probabilities(logits).max(axis=-1), logits.argmax(axis=-1) == labels
    bins = np.minimum((confidence * num_bins).astype(int), num_bins - 1)
    gaps = [np.abs(((confidence - correct) * (bins == index)).mean(axis=-1)) for index in range(num_bins)]
    return np.sum(gaps, axis=0)


def confidence_interval(accuracy: float, count: int) -> tuple[float, float]:
    """The 95 % Wilson interval of an accuracy measured on `count` examples."""
    z = 1.959964
    centre = (accuracy + z * z / (2 * count)) / (1 + z * z / count)
    half = z / (1 + z * z / count) * np.sqrt(accuracy * (1 - accuracy) / count + z * z / (4 * count * count))
    return float(centre - half), float(centre + half)


def _log_softmax(logits: np.ndarray) -> np.ndarray:
    shifted = logits - logits.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))


def _like(labels: np.ndarray, logits: np.ndarray) -> np.ndarray:
    return np.broadcast_to(labels, logits.shape[:-1])[..., None]

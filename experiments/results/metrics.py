"""Metrics of logits on a split."""

from typing import Any

import numpy as np


def summarize(logits: np.ndarray, labels: np.ndarray) -> dict[str, Any]:
    """Loss and accuracy, of every seed where there are several.

    Args:
      logits: `[..., n, classes]`.
      labels: `[n]`.
    """
    log_probabilities = _log_softmax(logits)
    losses = -np.take_along_axis(log_probabilities, _like(labels, logits), axis=-1)[..., 0]
    return {
        "loss": losses.mean(axis=-1),
        "accuracy": (logits.argmax(axis=-1) == labels).mean(axis=-1),
    }


def confusion_matrix(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Counts `[true class, predicted class]`, summed over seeds."""
    num_classes = logits.shape[-1]
    matrix = np.zeros((num_classes, num_classes), np.int64)
    np.add.at(matrix, (np.broadcast_to(labels, logits.shape[:-1]), logits.argmax(axis=-1)), 1)
    return matrix


def calibration_error(logits: np.ndarray, labels: np.ndarray, *, num_bins: int = 15) -> np.ndarray:
    """Expected calibration error: mean distance of confidence and accuracy over equal bins of confidence.

    Args:
      logits: `[..., n, classes]`.
      labels: `[n]`.
      num_bins: equal intervals of [0, 1].

    Returns:
      One number for each seed.
    """
    probabilities = np.exp(_log_softmax(logits))
    confidence, correct = probabilities.max(axis=-1), logits.argmax(axis=-1) == labels
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

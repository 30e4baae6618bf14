"""Classes of different sizes: weights for the loss, or balanced batches."""

import numpy as np

from experiments.data._labels import MULTI_LABEL

UNIFORM, BALANCED = "uniform", "balanced"
SAMPLINGS = (UNIFORM, BALANCED)


def class_weights(labels: np.ndarray, num_classes: int, task: str) -> np.ndarray:
    """Weights under which every class counts alike.

    Of classes: n / (K n_c), so that the mean weight of an example is 1. Of several labels: the ratio of absent to present
    ones, which multiplies the loss of the present ones.

    Args:
      labels: `[n]`, or `[n, classes]` of 0 and 1.
      num_classes: K.
      task: "classes", "multi_label" or "ordinal".

    Returns:
      `[num_classes]`; 1 for a class without examples.
    """
    if task == MULTI_LABEL:
        present = labels.sum(axis=0)
        return np.where(present > 0, (len(labels) - present) / np.maximum(present, 1), 1).astype(np.float32)
    return weights_of_counts(np.bincount(labels, minlength=num_classes))


def weights_of_counts(counts: np.ndarray) -> np.ndarray:
    """The weights n / (K n_c) of classes with n_c examples or pixels; 1 for a class without any."""
    weights = counts.sum() / (np.count_nonzero(counts) * np.maximum(counts, 1))
    return np.where(counts > 0, weights, 1).astype(np.float32)

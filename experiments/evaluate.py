"""Metrics of a trained network on a split, and on transformed copies of it."""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np

from experiments import data
from experiments.parallel import Layout
from experiments.steps import Program, TrainState
from gequi_jax import actions
from gequi_jax import testing as equivariance

Transform = Callable[[np.ndarray], np.ndarray]


def predict(
    program: Program,
    state: TrainState,
    source: data.Source,
    *,
    batch_size: int,
    layout: Layout,
    transform: Transform | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Logits and labels of every example, in order.

    Batches have one shape, so the network is compiled once: the last one is padded, and the padding dropped here.

    Args:
      program: the run's compiled functions.
      state: of the run.
      source: the examples.
      batch_size: rounded up to a multiple of the number of devices.
      layout: the devices.
      transform: applied to each batch of images before the network.

    Returns:
      Logits `[n, classes]`, with a leading axis of seeds where there are several, and labels `[n]`.
    """
    num_devices = layout.mesh.size
    batch_size = -(-min(batch_size, len(source)) // num_devices) * num_devices
    logits, labels = [], []
    for batch, count in data.evaluation_batches(source, batch_size):
        images = transform(batch["image"]) if transform else batch["image"]
        # Fetched before the next batch begins: batches in flight hold memory, and on a CPU, where each device of each of
        # them holds a thread while it waits for the others, they can wait for each other forever.
        logits.append(np.asarray(program.logits(state, layout.place_whole(images)))[..., :count, :])
        labels.append(batch["label"][:count])
    return np.concatenate(logits, axis=-2), np.concatenate(labels)


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


def transformed(group: Any, element: int) -> Transform:
    """The action of a group element on a batch of images."""

    def apply(images: np.ndarray) -> np.ndarray:
        return np.asarray(actions.act_on_grid(element, jnp.asarray(images), group=group))

    return apply


def logit_changes(
    program: Program, state: TrainState, images: np.ndarray, *, group: Any, layout: Layout
) -> dict[str, Any]:
    """How far the logits of real images move under the group, which an equivariant network does not let them.

    Args:
      program: the run's compiled functions.
      state: of the run.
      images: `[n, rows, columns, channels]`.
      group: the symmetry to test.
      layout: the devices; each computes all of the images.

    Returns:
      `relative`: error of every grid-preserving element as `gequi_jax.testing` defines it, the worst of all seeds;
      `absolute`: the largest change of any logit; `elements`: which they are.
    """
    elements = actions.grid_preserving_elements(group)
    images = np.asarray(data.as_unit_range(jnp.asarray(images)))

    def logits(batch: Any) -> Any:
        result = np.asarray(program.logits(state, layout.replicate(np.asarray(batch))))
        # Seeds side by side: the images come first.
        return result if result.ndim == 2 else np.moveaxis(result, 0, 1).reshape(result.shape[1], -1)

    relative = equivariance.equivariance_errors(
        logits, jnp.asarray(images), group=group, input="grid", output="invariant", elements=elements
    )
    upright = logits(images)
    changes = [np.abs(logits(transformed(group, element)(images)) - upright).max() for element in elements]
    return {
        "elements": elements,
        "relative": [float(error) for error in np.asarray(relative)],
        "absolute": float(max(changes)),
    }


def _log_softmax(logits: np.ndarray) -> np.ndarray:
    shifted = logits - logits.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))


def _like(labels: np.ndarray, logits: np.ndarray) -> np.ndarray:
    return np.broadcast_to(labels, logits.shape[:-1])[..., None]

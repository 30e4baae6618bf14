"""Logits of a network on a whole split."""

from collections.abc import Callable

import numpy as np

from experiments import data
from experiments.training.parallel import Layout
from experiments.training.step import Program, TrainState

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

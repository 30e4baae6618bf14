"""Logits of a network, and what the loop needs to know of a validation."""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from experiments import data
from experiments.training.parallel import Layout
from experiments.training.program import Program
from experiments.training.state import TrainState


class Validation(NamedTuple):
    """Results on the validation split, of each seed if there are several.

    Attributes:
      loss: the cross-entropy.
      accuracy: the share of right answers.
      selecting: the metric that selects the best epoch; larger is better.
    """

    loss: np.ndarray
    accuracy: np.ndarray
    selecting: np.ndarray


@dataclasses.dataclass(frozen=True)
class Predictor:
    """A network in evaluation mode.

    Attributes:
      program: the compiled functions of the run.
      state: the weights.
      layout: the devices.
      batch_size: images of one batch, rounded up to a multiple of the number of devices.
    """

    program: Program
    state: TrainState
    layout: Layout
    batch_size: int

    def logits(self, images: np.ndarray) -> np.ndarray:
        """Logits of one batch; every device computes all of them."""
        return np.asarray(self.program.logits(self.state, self.layout.replicate(images)))

    def predict(
        self, source: data.Source, transform: Callable[[np.ndarray], np.ndarray] | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Logits and labels of every example, in order.

        All batches have one shape, so that the program is compiled once: the last batch is padded.

        Args:
          source: the examples.
          transform: applied to each batch of images.

        Returns:
          Logits `[n, classes]`, with a leading axis of seeds if there are several, and labels `[n]`.
        """
        num_devices = self.layout.mesh.size
        batch_size = -(-min(self.batch_size, len(source)) // num_devices) * num_devices
        logits, labels = [], []
        for batch, count in data.evaluation_batches(source, batch_size):
            images = transform(batch["image"]) if transform else batch["image"]
            # Fetched before the next batch starts: batches in flight hold memory, and on several CPU devices each holds a
            # thread while it waits for the others, which can deadlock.
            logits.append(np.asarray(self.program.logits(self.state, self.layout.place_whole(images)))[..., :count, :])
            labels.append(batch["label"][:count])
        return np.concatenate(logits, axis=-2), np.concatenate(labels)


def accuracy_fields(accuracies: np.ndarray, interval: list[float] | None) -> dict[str, Any]:
    """The accuracy of the test split as the summary has it, plain data.

    Args:
      accuracies: of each seed.
      interval: of their mean.
    """
    return {
        "test_accuracy": float(accuracies.mean()),
        "test_accuracy_by_seed": accuracies.tolist(),
        "test_accuracy_std": float(accuracies.std(ddof=1)) if len(accuracies) > 1 else None,
        "test_accuracy_interval": interval,
    }

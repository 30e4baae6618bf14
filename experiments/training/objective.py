"""What is minimised for each task, and how answers are counted."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float

from experiments import data
from experiments.config import Config

UNWEIGHTED, BALANCED = "none", "balanced"
CLASS_WEIGHTS = (UNWEIGHTED, BALANCED)


@dataclasses.dataclass(frozen=True)
class Objective:
    """The loss of a task.

    With p = softmax(logits) and one true class c, w_c (-log p_c); grades of an "ordinal" task are classes. With several
    labels y, the mean over classes of -w_k y_k log s_k - (1 - y_k) log(1 - s_k), s = sigmoid(logits).

    Attributes:
      task: "classes", "multi_label" or "ordinal".
      label_smoothing: share of the target that is spread evenly over the classes.
      weights: w `[classes]`; None for ones.
    """

    task: str = data.CLASSES
    label_smoothing: float = 0.0
    weights: np.ndarray | None = None

    @classmethod
    def of(cls, config: Config, dataset: data.Dataset) -> "Objective":
        """The objective of a run."""
        task = dataset.label_names.task
        weights = None
        if config.class_weights == BALANCED:
            weights = data.class_weights(data.labels_of(dataset.train), dataset.num_classes, task)
        return cls(task, config.label_smoothing, weights)

    def losses(self, logits: Float[Array, "batch classes"], labels: Array) -> Float[Array, " batch"]:
        """The loss of every example."""
        if self.task == data.MULTI_LABEL:
            targets = labels.astype(logits.dtype)
            positive = -targets * jax.nn.log_sigmoid(logits)
            positive = positive if self.weights is None else positive * self.weights
            return jnp.mean(positive - (1 - targets) * jax.nn.log_sigmoid(-logits), axis=-1)
        targets = jax.nn.one_hot(labels, logits.shape[-1], dtype=logits.dtype)
        losses = optax.softmax_cross_entropy(logits, optax.smooth_labels(targets, self.label_smoothing))
        return losses if self.weights is None else losses * jnp.asarray(self.weights)[labels]

    def correct(self, logits: Float[Array, "batch classes"], labels: Array) -> Any:
        """1 for a right answer, 0 for a wrong one; of several labels the share of right ones."""
        if self.task == data.MULTI_LABEL:
            return jnp.mean(((logits > 0) == (labels > 0)).astype(jnp.float32), axis=-1)
        return (jnp.argmax(logits, axis=-1).astype(labels.dtype) == labels).astype(jnp.float32)

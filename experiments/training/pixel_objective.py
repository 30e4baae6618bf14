"""The losses of a segmentation, by name."""

import dataclasses
from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int

from experiments import data
from experiments.config import Config
from experiments.trained import build
from experiments.training.objective import BALANCED

Logits = Float[Array, "batch *spatial classes"]
Masks = Int[Array, "batch *spatial"]


def cross_entropy(logits: Logits, masks: Masks, weights: Float[np.ndarray, " classes"]) -> Float[Array, " batch"]:
    """The mean over the pixels x of an image of -w_c log p_c(x), with p = softmax(logits) and c the class of x."""
    losses = optax.softmax_cross_entropy_with_integer_labels(logits, masks) * jnp.asarray(weights)[masks]
    return losses.mean(axis=tuple(range(1, losses.ndim)))


def dice(logits: Logits, masks: Masks, weights: Float[np.ndarray, " classes"]) -> Float[Array, " batch"]:
    """One minus the soft Dice coefficient, the weighted mean over the classes of an image.

        1 - sum_k w_k D_k / sum_k w_k,    D_k = (1 + 2 sum_x p_k(x) t_k(x)) / (1 + sum_x (p_k(x) + t_k(x)))

    with p = softmax(logits) and t_k(x) = 1 where x has the class k. A class that neither the image nor the prediction has
    counts as right.

    Reference: Milletari et al. (2016), with sums in place of sums of squares.
    """
    probabilities = jax.nn.softmax(logits)
    targets = jax.nn.one_hot(masks, logits.shape[-1], dtype=logits.dtype)
    axes = tuple(range(1, masks.ndim))
    both, either = (probabilities * targets).sum(axes), (probabilities + targets).sum(axes)
    return 1 - ((1 + 2 * both) / (1 + either)) @ jnp.asarray(weights / weights.sum())


def cross_entropy_dice(logits: Logits, masks: Masks, weights: Float[np.ndarray, " classes"]) -> Float[Array, " batch"]:
    """The sum of `cross_entropy` and `dice`."""
    return cross_entropy(logits, masks, weights) + dice(logits, masks, weights)


SEGMENTATION_LOSSES: Mapping[str, Callable[..., Array]] = {
    "cross_entropy": cross_entropy,
    "dice": dice,
    "cross_entropy_dice": cross_entropy_dice,
}


@dataclasses.dataclass(frozen=True)
class PixelObjective:
    """The loss of a segmentation.

    Attributes:
      loss: of `SEGMENTATION_LOSSES`.
      weights: w `[classes]`.
    """

    loss: str
    weights: np.ndarray

    @classmethod
    def of(cls, config: Config, dataset: data.Dataset) -> "PixelObjective":
        """The objective of a run on images with masks."""
        count = build.num_classes(config)
        weights = np.ones(count, np.float32)
        if config.class_weights == BALANCED and isinstance(dataset.train, data.TiledSource):
            weights = data.weights_of_counts(dataset.train.class_counts[:count])
        return cls(config.segmentation_loss, weights)

    def losses(self, logits: Logits, masks: Masks) -> Float[Array, " batch"]:
        """The loss of every image."""
        return SEGMENTATION_LOSSES[self.loss](logits, masks, self.weights)

    def correct(self, logits: Logits, masks: Masks) -> Float[Array, " batch"]:
        """The share of right pixels of every image."""
        right = jnp.argmax(logits, axis=-1).astype(masks.dtype) == masks
        return right.astype(jnp.float32).mean(axis=tuple(range(1, right.ndim)))

"""Equivariance errors of layers under a rotation by 45 degrees, which does not map the grid to itself.

Smooth images are functions of continuous coordinates, so that a rotated image needs no interpolation. Outputs are compared
at the centre, which every rotation fixes, so that only the error of the layer remains.
"""

import dataclasses
from collections.abc import Iterable
from typing import Any

import jax
import numpy as np
from flax import nnx

from experiments.visualize.seeding import random_streams
from experiments.visualize.steerability.measure.layers import GROUP, LAYERS, smooth_images

EIGHTH_TURN = 1
NUM_SEEDS = 10
WINDOW_SIZES = (5, 7, 9, 11)


@dataclasses.dataclass(frozen=True)
class LayerError:
    """Relative equivariance error of one kind of layer under a rotation by 45 degrees.

    Attributes:
      layer, window: the key in `LAYERS`.
      window_size: the side of the window in pixels.
      errors: one for each initialisation.
    """

    layer: str
    window: str
    window_size: int
    errors: tuple[float, ...]

    @property
    def mean(self) -> float:
        """Over initialisations."""
        return float(np.mean(self.errors))

    @property
    def standard_error(self) -> float:
        """Of the mean; 0 for a single initialisation."""
        return float(np.std(self.errors, ddof=1) / np.sqrt(len(self.errors))) if len(self.errors) > 1 else 0.0


def layer_errors(window_sizes: Iterable[int] = WINDOW_SIZES, num_seeds: int = NUM_SEEDS) -> list[LayerError]:
    """The error of every layer of `LAYERS` at every window size, for the seeds from 0."""
    return [
        LayerError(
            *name,
            window_size,
            tuple(centre_error(build(window_size, rngs=random_streams(s)), window_size) for s in range(num_seeds)),
        )
        for name, build in LAYERS.items()
        for window_size in window_sizes
    ]


def centre_error(layer: nnx.Module, window_size: int, element: int = EIGHTH_TURN) -> float:
    """The relative equivariance error of a layer at the centre of smooth images.

        |layer(L_h f) - L_h layer(f)| / |layer(f) - mean|, with the mean over images

    Args:
      layer: from images to feature maps on C_8.
      window_size: the side of its window; images have the same side.
      element: the index of h.
    """
    outputs = np.asarray(centre_of_output(layer, smooth_images(0, window_size)))  # [image, group, channels]
    rotated = np.asarray(centre_of_output(layer, smooth_images(element, window_size)))
    expected = outputs[:, GROUP.cayley_table[GROUP.inverses[element]]]
    return float(np.linalg.norm(rotated - expected) / np.linalg.norm(outputs - outputs.mean(axis=0)))


@nnx.jit
def centre_of_output(layer: Any, images: jax.Array) -> jax.Array:
    """The output of a layer at the central position."""

    return layer(images)[:, images.shape[1] // 2, images.shape[2] // 2]

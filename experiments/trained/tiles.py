"""Segments whole images, or overlapping tiles of those that are larger than memory."""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np

from experiments import data
from experiments.errors import UserError
from gequi_jax import models


def whole_or_tiled(
    network: Any, apply: Callable[[np.ndarray], np.ndarray], tile_size: int
) -> Callable[[np.ndarray], np.ndarray]:
    """A function of an image `[*sizes, channels]` to what `apply` gives at each position.

    Args:
      network: the U-Net, for its depth and its reach; its weights are not used.
      apply: from `[1, *sizes, channels]` to `[1, *sizes, classes]`, with a leading axis of seeds if there are several.
      tile_size: side of the tiles in which larger images are read; 0 for whole images.

    Returns:
      A function to `[*sizes, classes]`, with a leading axis of seeds if there are several.
    """

    def seeds_last(images: np.ndarray) -> np.ndarray:
        """`[1, *sizes, seeds or nothing, classes]`, which tiles of one image can be joined in."""
        values = np.asarray(apply(images))
        return np.moveaxis(values, 0, -2) if values.ndim > images.ndim else values

    def segment(image: np.ndarray) -> np.ndarray:
        images = image[None]
        if tile_size and max(image.shape[:-1]) > tile_size:
            try:
                images = np.asarray(data.as_unit_range(jnp.asarray(images)))
                values = models.predict_in_tiles(network, images, tile_size=tile_size, apply=seeds_last)[0]
            except ValueError as error:
                raise UserError(f"tiles: {error}") from error
        else:
            values = seeds_last(images)[0]
        return np.moveaxis(values, -2, 0) if values.ndim > image.ndim else values

    return segment

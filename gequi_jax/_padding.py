"""Padding by copies of the border, in operations that converters to other formats know."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp

from gequi_jax._typing import Array


def pad_with_edges(x: Array, pads: Sequence[tuple[int, int]]) -> Array:
    """`jnp.pad(x, pads, mode="edge")`, which makes arrays of size 0 for axes that are not padded.

    Args:
      x: an array.
      pads: the number of positions before and after, for every axis.
    """
    for axis, (before, after) in enumerate(pads):
        if before or after:
            size = x.shape[axis]
            first, last = (jax.lax.slice_in_dim(x, start, start + 1, axis=axis) for start in (0, size - 1))
            x = jnp.concatenate([*[first] * before, x, *[last] * after], axis=axis)
    return x

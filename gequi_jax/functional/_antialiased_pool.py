"""Subsampling behind a binomial filter, on positions that are symmetric about the centre of the grid."""

import functools
import math

import jax
import jax.numpy as jnp

from gequi_jax._checks import check_positive_integer
from gequi_jax._padding import pad_with_edges
from gequi_jax._typing import Array, Float
from gequi_jax.functional._types import wide_type


def antialiased_pool(x: Float[Array, "batch *rest"], *, dim: int, window_size: int = 2) -> Array:
    """Blurs with a binomial filter and keeps one position of every block, for every pose and channel separately.

        y(i) = sum_k b_k f(s i + t + k)

    along each axis, with stride s, binomial coefficients b_k that add up to 1, and offsets k symmetric about 0. A side that
    s divides is read at the centres of its blocks, t = (s - 1)/2, as in `spatial_pool`; a side that is larger by 1, at its
    first position, its last, and every s-th between, t = 0. f is continued by its border.

    Filter and positions are symmetric about the centre, so that the pooling commutes with every element that maps the grid
    to itself. The filter also removes frequencies that the stride would fold, which lowers the error under all other
    rotations and under translations.

    Args:
      x: images or feature maps, `[batch, *spatial, ...]`.
      dim: the number of spatial axes.
      window_size: the stride s; the filter has s + 1 or s + 2 entries, the number that is symmetric about the positions.

    Returns:
      The input with sides of n / s or (n - 1) / s + 1.

    Raises:
      ValueError: if neither case holds for a side.

    Reference: Zhang (2019).

    Example:
      >>> antialiased_pool(jnp.ones((2, 6, 9, 4, 3)), dim=2).shape
      (2, 3, 5, 4, 3)
    """
    strides = check_positive_integer("window_size", window_size)
    y = x.astype(wide_type(x))
    for axis in range(1, 1 + dim):
        y = _along(y, axis, strides)
    return y.astype(x.dtype)


def _along(x: Array, axis: int, strides: int) -> Array:
    side = x.shape[axis]
    if side % strides > 1:
        raise ValueError(
            f"window_size: positions {strides} apart are not symmetric about the centre of a side of {side}, which breaks "
            f"equivariance; use sides divisible by {strides}, or larger than such a side by 1, or crop or pad all sides "
            "equally."
        )
    in_blocks = side % strides == 0
    entries = strides + 2 if in_blocks or strides % 2 else strides + 1
    pad = (entries - strides) // 2 if in_blocks else entries // 2
    pads = [(pad, pad) if index == axis else (0, 0) for index in range(x.ndim)]
    padded = pad_with_edges(x, pads)
    last = strides * ((side - 1) // strides)
    terms = (
        (math.comb(entries - 1, k) / 2 ** (entries - 1)) * jax.lax.slice_in_dim(padded, k, k + last + 1, strides, axis)
        for k in range(entries)
    )
    return functools.reduce(jnp.add, terms)

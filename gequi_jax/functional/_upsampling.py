"""Upsampling of images and feature maps by interpolation that commutes with the group action."""

from collections.abc import Sequence
from typing import Literal

import jax.numpy as jnp
import numpy as np

from gequi_jax._checks import check_choice, check_positive_integer
from gequi_jax._typing import Array, Float

Interpolation = Literal["nearest", "linear"]


def upsample(
    x: Float[Array, "batch *rest"],
    *,
    dim: int,
    factor: int = 2,
    spatial_shape: Sequence[int] | None = None,
    method: Interpolation = "nearest",
    align_corners: bool = False,
    allow_inequivariant: bool = False,
) -> Array:
    """Enlarges the grid by interpolation along every axis, for every pose and channel separately.

        y(i) = f(s_i),    s_i = (i + 1/2) n / m - 1/2

    for output positions i < m and input positions below n along each axis, or s_i = i (n - 1) / (m - 1) with
    `align_corners`. f is read at the nearest input position, or linearly between two of them, and continued by its border.
    The positions s_i are symmetric about the centre of the
    axis, so that upsampling commutes with every element that maps the grid to itself. Nearest-neighbour interpolation
    does not where an s_i lies halfway between two input positions, as from 2 to 3; every factor and linear interpolation
    are exact.

    A target size belongs to its input: an input that is turned has the sides of the target exchanged.

    Args:
      x: images or feature maps, `[batch, *spatial, ...]`.
      dim: the number of spatial axes.
      factor: the ratio of output to input sides.
      spatial_shape: the sides of the output, in place of a factor; none below the side of the input.
      method: "nearest" or "linear".
      align_corners: the first and the last positions of input and output coincide, as those of a strided convolution of
        odd sides do; by default their outer borders do, as those of pooling in blocks.
      allow_inequivariant: round positions halfway between two inputs up instead of raising.

    Returns:
      The input with larger sides.

    Raises:
      ValueError: if a side would shrink, or nearest-neighbour interpolation breaks equivariance; the message says where.

    Example:
      >>> upsample(jnp.asarray([1.0, 2.0]).reshape(1, 2, 1), dim=1).ravel().tolist()
      [1.0, 1.0, 2.0, 2.0]
      >>> upsample(jnp.asarray([1.0, 2.0]).reshape(1, 2, 1), dim=1, spatial_shape=(3,), method="linear").ravel().tolist()
      [1.0, 1.5, 2.0]
    """
    check_choice("method", method, ("nearest", "linear"))
    for axis, size in enumerate(_target(x.shape[1 : 1 + dim], factor, spatial_shape), start=1):
        side = x.shape[axis]
        if size == side:
            continue
        numerators, denominator = _sources(side, size, align_corners)
        if method == "linear":
            x = _linear(x, axis, numerators, denominator)
        elif size % side == 0 and not align_corners:
            x = jnp.repeat(x, size // side, axis=axis)
        else:
            index = _nearest(side, size, numerators, denominator, allow_inequivariant)
            x = jnp.take(x, index, axis=axis)
    return x


def _target(sides: tuple[int, ...], factor: int, spatial_shape: Sequence[int] | None) -> tuple[int, ...]:
    if spatial_shape is None:
        factor = check_positive_integer("factor", factor)
        return tuple(factor * side for side in sides)
    target = tuple(check_positive_integer("spatial_shape", size) for size in spatial_shape)
    if len(target) != len(sides) or any(size < side for size, side in zip(target, sides, strict=True)):
        raise ValueError(
            f"spatial_shape: expected {len(sides)} sides, none below those of the input, {sides}; got {target}. "
            "Use spatial_pool or antialiased_pool to reduce a grid."
        )
    return target


def _sources(side: int, size: int, align_corners: bool) -> tuple[np.ndarray, int]:
    """The positions s_i as fractions, so that ties are found exactly."""
    if align_corners:
        return np.arange(size) * (side - 1), size - 1
    return (2 * np.arange(size) + 1) * side - size, 2 * size


def _nearest(side: int, size: int, numerators: np.ndarray, denominator: int, allow_inequivariant: bool) -> np.ndarray:
    """The index of the nearest input position of every output position."""
    doubled = 2 * numerators + denominator
    (ties,) = np.nonzero(doubled % (2 * denominator) == 0)
    if ties.size and not allow_inequivariant:
        between = numerators[ties[0]] // denominator
        raise ValueError(
            f"method: nearest-neighbour interpolation from a side of {side} to {size} reads output position {ties[0]} "
            f"halfway between input positions {between} and {between + 1}, and the choice of either breaks equivariance; "
            f"use method='linear', or a multiple of {side} (allow_inequivariant=True takes the upper one)."
        )
    return doubled // (2 * denominator)


def _linear(x: Array, axis: int, numerators: np.ndarray, denominator: int) -> Array:
    """Linear interpolation along one axis, as a product with a matrix of two entries a row."""
    side, size = x.shape[axis], len(numerators)
    lower, fraction = numerators // denominator, (numerators % denominator) / denominator
    weights = np.zeros((size, side))
    for index, weight in ((lower, 1 - fraction), (lower + 1, fraction)):
        np.add.at(weights, (np.arange(size), np.clip(index, 0, side - 1)), weight)
    moved = jnp.moveaxis(x, axis, -1)
    y = jnp.einsum("...n,mn->...m", moved, jnp.asarray(weights, x.dtype), precision="highest")
    return jnp.moveaxis(y, -1, axis)

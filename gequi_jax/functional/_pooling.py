"""Pooling over poses and over space, in forms that commute with the group action."""

from collections.abc import Callable
from typing import Any, Literal

import jax
import jax.numpy as jnp

from gequi_jax._checks import check_choice, check_positive_integer
from gequi_jax._typing import Array, FeatureMap, Float, Grid
from gequi_jax.functional._maximum import maximum

Reduction = Literal["max", "mean", "sum"]

_REDUCTIONS: dict[str, Callable[..., Any]] = {"max": maximum, "mean": jnp.mean, "sum": jnp.sum}


def group_pool(x: FeatureMap, *, reduction: Reduction = "max") -> Grid:
    """Reduces the group axis: from a function on G to a function on R^d.

        y(x) = max_h f(x, h)

    Transforms as an image: the reduction runs over all the poses that L_g permutes.

    Args:
      x: feature maps `[batch, *spatial, group, channels]`.
      reduction: "max", "mean" or "sum".

    Returns:
      Images `[batch, *spatial, channels]`.

    Raises:
      ValueError: if the reduction is none of these.

    Reference: Romero & Cordonnier (2021), Fig. F.1.
    """
    return _reduction(reduction)(x, axis=-2)


def global_spatial_pool(x: Float[Array, "batch *rest"], *, dim: int, reduction: Reduction = "mean") -> Array:
    """Reduces all spatial axes: from functions on R^d or G to functions of the pose alone.

        y(h) = mean_x f(x, h)

    Args:
      x: images or feature maps, `[batch, *spatial, ...]`.
      dim: the number of spatial axes.
      reduction: "max", "mean" or "sum".

    Returns:
      `[batch, ...]`, without the spatial axes.

    Raises:
      ValueError: if the reduction is none of these.

    Reference: Romero & Cordonnier (2021), Fig. F.1.
    """
    return _reduction(reduction)(x, axis=tuple(range(1, 1 + dim)))


def spatial_pool(
    x: Float[Array, "batch *rest"],
    *,
    dim: int,
    window_size: int = 2,
    reduction: Reduction = "max",
    allow_inequivariant: bool = False,
) -> Array:
    """Reduces blocks of positions that do not overlap, for every pose and channel separately.

        y(x, h) = max over the block of x of f(., h)

    Equivariant if the blocks tile the grid: then every element that preserves the grid maps blocks to blocks.

    Args:
      x: images or feature maps, `[batch, *spatial, ...]`.
      dim: the number of spatial axes.
      window_size: the side of a block, and the stride.
      reduction: "max", "mean" or "sum".
      allow_inequivariant: drop the positions of incomplete blocks instead of raising.

    Returns:
      The input with every spatial side divided by `window_size`.

    Raises:
      ValueError: if a side is not divisible by `window_size`, or the reduction is none of these.

    Reference: Romero et al. (2020), Appendix C.
    """
    window_size = check_positive_integer("window_size", window_size)
    spatial_shape = x.shape[1 : 1 + dim]
    sides = [side // window_size for side in spatial_shape]
    if any(side % window_size for side in spatial_shape):
        if not allow_inequivariant:
            raise ValueError(
                f"window_size: pooling blocks of {window_size} do not tile a grid of shape {spatial_shape}, which breaks "
                f"equivariance; use sides divisible by {window_size}, or crop or pad all sides equally "
                "(allow_inequivariant=True drops the rest)."
            )
        for axis, side in enumerate(sides, start=1):
            x = jax.lax.slice_in_dim(x, 0, side * window_size, axis=axis)
    blocks = [length for side in sides for length in (side, window_size)]
    blocked = x.reshape(x.shape[0], *blocks, *x.shape[1 + dim :])
    return _reduction(reduction)(blocked, axis=tuple(range(2, 2 + 2 * dim, 2)))


def _reduction(name: Reduction) -> Callable[..., Any]:
    check_choice("reduction", name, _REDUCTIONS)
    return _REDUCTIONS[name]

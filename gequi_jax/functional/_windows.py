"""Windows: the shape of a neighbourhood and the offsets of it that take part."""

import dataclasses
import math
from collections.abc import Callable, Sequence

import numpy as np

from gequi_jax._checks import check_window_shape
from gequi_jax._typing import Bool
from gequi_jax.groups import FiniteGroup

# Both forms mean the same everywhere: the mask of a window, or a function from the shape of a window to its mask, such as
# `gequi_jax.actions.round_window`. A mask has the shape of the window or is flattened in array order.
WindowMask = Bool[np.ndarray, "..."] | Callable[[tuple[int, ...]], Bool[np.ndarray, "..."]]
# One side for all axes, or one for each axis.
WindowSize = int | Sequence[int]


@dataclasses.dataclass(frozen=True, eq=False)
class Window:
    """The neighbourhood of every query.

    Attributes:
      shape: its sides, all odd; `2 side - 1` of the grid for global attention.
      mask: which of its offsets take part, flattened in array order.
      is_global: whether it holds every position of the grid.
    """

    shape: tuple[int, ...]
    mask: Bool[np.ndarray, " window"]
    is_global: bool

    @property
    def size(self) -> int:
        """The number of offsets."""
        return math.prod(self.shape)


def resolve_window(
    window_size: WindowSize | None,
    window_mask: WindowMask | None,
    *,
    group: FiniteGroup,
    spatial_shape: tuple[int, ...],
) -> Window:
    """The window of a grid from the arguments of a layer.

    Args:
      window_size: the odd side of the window, or a side for each axis; None for global attention.
      window_mask: the offsets that take part, as in `resolve_window_mask`.
      group: the group H.
      spatial_shape: the sides of the grid.

    Raises:
      ValueError: if a side is even, does not fit the grid, or differs between axes that the group exchanges, or if the
        mask does not fit the window.
    """
    if window_size is None:
        shape = tuple(2 * side - 1 for side in spatial_shape)
    else:
        shape = check_window_shape(window_size, group, spatial_shape)
    return Window(shape, resolve_window_mask(window_mask, shape), is_global=window_size is None)


def resolve_window_mask(window_mask: WindowMask | None, window_shape: Sequence[int]) -> Bool[np.ndarray, " window"]:
    """The offsets of a window that take part, flattened in array order.

    Args:
      window_mask: a mask of the shape of the window, or flattened; or a function from the shape of a window to one, such
        as `gequi_jax.actions.round_window`; or None for all offsets.
      window_shape: the number of positions along each axis.

    Raises:
      ValueError: if the mask has neither the shape of the window nor its flattened shape.

    Example:
      >>> from gequi_jax.actions import round_window
      >>> int(resolve_window_mask(round_window, (3, 3)).sum())
      5
    """
    shape = tuple(int(side) for side in window_shape)
    size = math.prod(shape)
    if window_mask is None:
        return np.ones(size, bool)
    mask = np.asarray(window_mask(shape) if callable(window_mask) else window_mask, bool)
    if mask.shape not in (shape, (size,)):
        raise ValueError(
            f"window_mask: expected {size} entries for the window {shape}, as an array of shape {shape} or ({size},); "
            f"got shape {mask.shape}."
        )
    return mask.reshape(-1)

"""Positions: the offsets of a window, and the group acting on them. NumPy in float64: constants of a traced program."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float, Int

from gequi_jax.groups import FiniteGroup


def window_offsets(window_shape: Sequence[int]) -> Float[np.ndarray, "window dim"]:
    """The offsets x_j - x_i of a window from its centre, in array order.

    A side of 3 gives -1, 0, 1; a side of 4 gives -1.5, -0.5, 0.5, 1.5, so that every window is symmetric about 0.

    Args:
      window_shape: the number of positions along each axis.
    """
    axes = [np.arange(side) - (side - 1) / 2 for side in window_shape]
    return np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, len(axes))


def relative_positions(spatial_shape: Sequence[int]) -> tuple[Float[np.ndarray, "window dim"], Int[np.ndarray, "n n"]]:
    """Every offset between two positions of a grid, and which of them each pair has.

    Args:
      spatial_shape: the shape of the grid, of n positions in all.

    Returns:
      The offsets of the window of shape `2 side - 1`, and `index[i, j]` with `offsets[index[i, j]] == x_j - x_i`.
    """
    sides = np.asarray(spatial_shape)
    positions = np.stack(np.meshgrid(*map(np.arange, sides), indexing="ij"), axis=-1).reshape(-1, len(sides))
    steps = positions[None] - positions[:, None] + (sides - 1)
    index = np.ravel_multi_index(tuple(np.moveaxis(steps, -1, 0)), tuple(2 * sides - 1))
    return window_offsets((2 * sides - 1).tolist()), np.asarray(index)


def round_window(window_shape: Sequence[int]) -> Bool[np.ndarray, " window"]:
    """The offsets of a window within its inscribed ball, which every rotation preserves better than the full window.

    Args:
      window_shape: the number of positions along each axis.
    """
    offsets = window_offsets(window_shape)
    radii = np.maximum((np.asarray(window_shape) - 1) / 2, 0.5)
    # A quarter of a pixel of slack keeps small windows from becoming crosses: 3x3 stays whole only without corners.
    return ((offsets / (radii + 0.25)) ** 2).sum(axis=-1) <= 1.0


def inverse_act_on_positions(
    group: FiniteGroup, positions: Float[np.ndarray, "*shape dim"]
) -> Float[np.ndarray, "group *shape dim"]:
    """The positions h^-1 x for every element h: where a function transformed by h reads its values.

    Rounded to twelve decimals, so that coordinates which are 0 in exact arithmetic are 0.

    Args:
      group: a group of the dimension of the positions.
      positions: positions, or offsets between positions.
    """
    inverse_matrices = group.matrices[group.inverses]
    return np.round(np.einsum("hde,...e->h...d", inverse_matrices, positions), 12) + 0.0


def inverse_permutations(
    group: FiniteGroup, points: Float[np.ndarray, "points dim"]
) -> tuple[Int[np.ndarray, "group points"], Bool[np.ndarray, " group"]]:
    """For every h the permutation of a set of points that h^-1 induces, where it maps the set to itself.

    Args:
      group: a group of the dimension of the points.
      points: distinct points.

    Returns:
      `index` with `points[index[h, j]] == h^-1 points[j]`, and `preserved[h]`: whether h maps the set to itself. Where
      it does not, `index[h]` holds the nearest points and must not be used as a permutation.
    """
    moved = inverse_act_on_positions(group, points)
    distance = np.abs(moved[:, :, None, :] - points).max(axis=-1)
    return distance.argmin(axis=-1), (distance.min(axis=-1) < 1e-6).all(axis=-1)

"""The point groups of the plane, and the trivial and mirror groups of any dimension."""

import numpy as np

from gequi_jax._checks import check_positive_integer
from gequi_jax.groups._finite_group import FiniteGroup


def trivial_group(dim: int = 2) -> FiniteGroup:
    """The group of the identity alone: G is the group of translations Z^d.

    Args:
      dim: the dimension of the space, 1 or more.

    Raises:
      ValueError: if `dim` is not a positive integer.
    """
    dim = check_positive_integer("dim", dim)
    return FiniteGroup(np.eye(dim)[None], name="z2" if dim == 2 else f"trivial group in dimension {dim}")


def mirror_group(dim: int = 2) -> FiniteGroup:
    """The group {e, F} with F = diag(1, ..., 1, -1), which reverses the last spatial axis.

    In one dimension it reverses a signal; in two and three dimensions it reverses the columns.

    Args:
      dim: the dimension of the space, 1 or more.

    Raises:
      ValueError: if `dim` is not a positive integer.
    """
    dim = check_positive_integer("dim", dim)
    name = "z2m" if dim == 2 else f"mirror group in dimension {dim}"
    return FiniteGroup([np.eye(dim), np.diag([*np.ones(dim - 1), -1.0])], name=name)


def cyclic_group(n: int) -> FiniteGroup:
    """The cyclic group C_n: element k rotates the displayed image counter-clockwise by 360 k / n degrees.

        R_k = [[cos t, -sin t], [sin t, cos t]],  t = 2 pi k / n,  acting on (row, column)

    Args:
      n: the number of rotations.

    Raises:
      ValueError: if `n` is not a positive integer.

    Example:
      >>> cyclic_group(4).matrices[1].tolist()
      [[0.0, -1.0], [1.0, 0.0]]
    """
    check_positive_integer("n", n)
    return FiniteGroup(_rotations(n), name=f"p{n}")


def dihedral_group(n: int) -> FiniteGroup:
    """The dihedral group D_n: elements 0 to n-1 are the rotations R_k, element n+k is R_k F, the column flip first.

    Args:
      n: the number of rotations.

    Raises:
      ValueError: if `n` is not a positive integer.
    """
    check_positive_integer("n", n)
    return FiniteGroup(_with_mirror(_rotations(n)), name=f"p{n}m")


def _rotations(n: int) -> np.ndarray:
    angle = 2 * np.pi * np.arange(n) / n
    cos, sin = np.cos(angle), np.sin(angle)
    return np.stack([np.stack([cos, -sin], -1), np.stack([sin, cos], -1)], -2)


def _with_mirror(rotations: np.ndarray) -> np.ndarray:
    return np.concatenate([rotations, rotations @ np.diag([1.0, -1.0])])

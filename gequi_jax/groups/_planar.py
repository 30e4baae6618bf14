"""The point groups of the plane, and the names the field gives them."""

import re

import numpy as np

from gequi_jax._checks import check_positive_integer
from gequi_jax.groups._finite_group import FiniteGroup

# Of a group that is named. Tables grow with the square of the order, and a typing error should not fill the memory.
_MAX_NAMED_ORDER = 512


def trivial_group(dim: int = 2) -> FiniteGroup:
    """The group of the identity alone: G is the group of translations Z^d.

    Args:
      dim: the dimension of the space, 1 or more.

    Raises:
      ValueError: if `dim` is not a positive integer.
    """
    check_positive_integer("dim", dim)
    return FiniteGroup(np.eye(dim)[None], name="z2" if dim == 2 else f"trivial group in dimension {dim}")


def mirror_group() -> FiniteGroup:
    """The group {e, F} of the plane with F = diag(1, -1), which reverses the columns of an image."""
    return FiniteGroup(_with_mirror(_rotations(1)), name="z2m")


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


def group_by_name(name: str) -> FiniteGroup:
    """The planar group of a name used in the literature.

    `"z2"` is the trivial group and `"z2m"` the mirror group; `"p4"` or `"r4"` is C_4, `"p4m"` or `"r4m"` is D_4, and so
    for every number of rotations. Names stop at groups of 512 elements; `cyclic_group` and `dihedral_group` do not.

    Raises:
      ValueError: if the name is none of these, or names a group of more elements.

    Example:
      >>> group_by_name("r8m").order
      16
    """
    if name == "z2":
        return trivial_group()
    if name == "z2m":
        return mirror_group()
    match = re.fullmatch(r"[pr]([1-9][0-9]*)(m?)", name) if isinstance(name, str) else None
    if match is None:
        raise ValueError(
            f"group name: expected 'z2', 'z2m', 'p<n>' or 'r<n>' for n rotations, or 'p<n>m' or 'r<n>m' with mirroring "
            f"(such as 'p4', 'p4m', 'r8'); got {name!r}."
        )
    build, largest = (dihedral_group, _MAX_NAMED_ORDER // 2) if match[2] else (cyclic_group, _MAX_NAMED_ORDER)
    # The digits are counted first: Python refuses to read a number of thousands of them.
    if len(match[1]) > len(str(largest)) or int(match[1]) > largest:
        rotations = match[1] if len(match[1]) <= 20 else f"a number of {len(match[1])} digits"
        raise ValueError(
            f"group name: expected at most {largest} rotations{' with mirroring' if match[2] else ''}, a group of "
            f"{_MAX_NAMED_ORDER} elements; got {rotations}. Layers grow with the order: take fewer, such as 'p16', or "
            f"build a larger group with {build.__name__}(n)."
        )
    return build(int(match[1]))


def _rotations(n: int) -> np.ndarray:
    angle = 2 * np.pi * np.arange(n) / n
    cos, sin = np.cos(angle), np.sin(angle)
    return np.stack([np.stack([cos, -sin], -1), np.stack([sin, cos], -1)], -2)


def _with_mirror(rotations: np.ndarray) -> np.ndarray:
    return np.concatenate([rotations, rotations @ np.diag([1.0, -1.0])])

"""The point groups of volumes: rotations and reflections of the regular polyhedra, and planar groups within slices."""

import itertools

import numpy as np

from gequi_jax._checks import check_group
from gequi_jax.groups._finite_group import FiniteGroup


def tetrahedral_group() -> FiniteGroup:
    """T, the 12 rotations of a regular tetrahedron with its vertices at (1, 1, 1), (1, -1, -1), (-1, 1, -1), (-1, -1, 1).

    The cyclic permutations of the axes with an even number of signs. Elements 0 to 3 are the identity and the half turns
    diag(1, -1, -1), diag(-1, 1, -1) and diag(-1, -1, 1); element 4 p + k is permutation p of the axes, then half turn k.

    Example:
      >>> tetrahedral_group().order
      12
    """
    return FiniteGroup(_signed_permutations()[:12], name="tetrahedral")


def octahedral_group() -> FiniteGroup:
    """O, the 24 rotations of the cube: the signed permutation matrices of determinant 1.

    Elements 0 to 11 are the tetrahedral group in its order; elements 12 to 23 exchange two axes.

    Example:
      >>> octahedral_group().order
      24
    """
    return FiniteGroup(_signed_permutations(), name="octahedral")


def full_octahedral_group() -> FiniteGroup:
    """O_h, the 48 rotations and reflections of the cube: all signed permutation matrices.

    Elements 0 to 23 are the octahedral group in its order; element 24 + k is -R_k, rotation k and the inversion.

    Example:
      >>> full_octahedral_group().order
      48
    """
    rotations = _signed_permutations()
    return FiniteGroup(np.concatenate([rotations, -rotations]), name="full_octahedral")


def icosahedral_group() -> FiniteGroup:
    """I, the 60 rotations of a regular icosahedron with a vertex along (0, 1, golden ratio).

    Elements 0 to 11 are the tetrahedral group in its order, the only ones that map the cubic grid to itself. Element
    12 j + k is tetrahedral rotation k first and then the rotation by 72 j degrees about (0, 1, golden ratio).

    Example:
      >>> icosahedral_group().order
      60
    """
    golden = (1 + 5**0.5) / 2
    fifth_turn = np.array([[1 / golden, -golden, 1], [golden, 1, 1 / golden], [-1, 1 / golden, golden]]) / 2
    elements = [
        np.linalg.matrix_power(fifth_turn, j) @ rotation for j in range(5) for rotation in _signed_permutations()[:12]
    ]
    return FiniteGroup(elements, name="icosahedral")


def in_plane(group: FiniteGroup, *, mirror: bool = False) -> FiniteGroup:
    """A planar group that acts within the slices of a volume `[depth, rows, columns]`.

        h -> diag(1, h), and with the mirror also diag(-1, h)

    For volumes whose depth axis is unlike the other two, such as a CT with thick slices. Elements keep the order of the
    planar group; with the mirror, element n + k is diag(-1, h_k).

    Args:
      group: a group of dimension 2.
      mirror: adds the mirror along the depth axis, which doubles the order.

    Raises:
      ValueError: if the group is not planar.

    Example:
      >>> from gequi_jax.groups import dihedral_group
      >>> in_plane(dihedral_group(4), mirror=True).order
      16
    """
    check_group(group)
    if group.dim != 2:
        raise ValueError(f"group: expected a group of dimension 2; got {group.name}, of dimension {group.dim}.")
    matrices = np.zeros((group.order, 3, 3))
    matrices[:, 0, 0] = 1.0
    matrices[:, 1:, 1:] = group.matrices
    if not mirror:
        return FiniteGroup(matrices, name=f"{group.name} in plane")
    mirrored = matrices * np.array([[-1.0], [1.0], [1.0]])
    return FiniteGroup(np.concatenate([matrices, mirrored]), name=f"{group.name} in plane with depth mirror")


def _signed_permutations() -> np.ndarray:
    """The 24 of determinant 1, the 12 that permute the axes cyclically first."""
    cyclic = [(0, 1, 2), (1, 2, 0), (2, 0, 1)]
    exchanges = [order for order in itertools.permutations(range(3)) if order not in cyclic]
    signs = np.array(list(itertools.product((1.0, -1.0), repeat=3)))
    even, odd = signs[signs.prod(axis=1) > 0], signs[signs.prod(axis=1) < 0]
    pairs = [*itertools.product(cyclic, even), *itertools.product(exchanges, odd)]
    return np.stack([np.diag(sign) @ np.eye(3)[list(order)] for order, sign in pairs])

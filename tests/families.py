"""The groups that the tests run over."""

import numpy as np

from gequi_jax.groups import (
    FiniteGroup,
    cyclic_group,
    dihedral_group,
    full_octahedral_group,
    icosahedral_group,
    mirror_group,
    octahedral_group,
    trivial_group,
)

KLEIN = FiniteGroup([np.diag([a, b]) for a in (1, -1) for b in (1, -1)], name="Klein four-group")
# The symmetries of the square, in an order in which neither the identity comes first nor the rotations are together.
SHUFFLED_SQUARE = FiniteGroup(dihedral_group(4).matrices[[5, 2, 7, 0, 3, 6, 1, 4]], name="shuffled D_4")
HALF_TURN_1D = FiniteGroup([[[1.0]], [[-1.0]]], name="reflections of the line")
QUARTER_TURNS_3D = FiniteGroup.generate([[[0, -1, 0], [1, 0, 0], [0, 0, 1]]], name="quarter turns about an axis")
# The quaternions 1, i, j, k and their negatives, by left multiplication: a group with a quaternionic representation.
QUATERNIONS = FiniteGroup.generate(
    [
        [[0, -1, 0, 0], [1, 0, 0, 0], [0, 0, 0, -1], [0, 0, 1, 0]],
        [[0, 0, -1, 0], [0, 0, 0, 1], [1, 0, 0, 0], [0, -1, 0, 0]],
    ],
    name="quaternion group",
)
# Larger groups whose representations hold several runs of complex and quaternionic coordinates.
WREATH = FiniteGroup.generate(
    [
        np.kron(np.diag([1.0, 0, 0]), cyclic_group(3).matrices[1]) + np.kron(np.diag([0, 1.0, 1]), np.eye(2)),
        np.kron(np.eye(3)[[1, 2, 0]], np.eye(2)),
    ],
    name="wreath product of C_3 and C_3",
)
QUATERNIONS_AND_TRIANGLE = FiniteGroup(
    [np.kron(a, b) for a in dihedral_group(3).matrices for b in QUATERNIONS.matrices], name="quaternion group times D_3"
)
ICOSAHEDRAL = icosahedral_group()

PLANAR = [
    trivial_group(),
    mirror_group(),
    cyclic_group(2),
    cyclic_group(4),
    dihedral_group(2),
    dihedral_group(4),
    cyclic_group(8),
    dihedral_group(8),
    KLEIN,
    SHUFFLED_SQUARE,
]
OTHER_DIMENSIONS = [HALF_TURN_1D, QUARTER_TURNS_3D]
CUBE = [octahedral_group(), full_octahedral_group()]


def name(group: FiniteGroup) -> str:
    return group.name.replace(" ", "_")

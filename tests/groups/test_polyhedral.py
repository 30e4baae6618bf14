"""The groups of volumes: orders, exact matrices, documented orders of elements, and planar groups within slices."""

import numpy as np
import pytest

from gequi_jax.actions import grid_preserving_elements
from gequi_jax.groups import (
    cyclic_group,
    dihedral_group,
    full_octahedral_group,
    icosahedral_group,
    in_plane,
    octahedral_group,
    tetrahedral_group,
    trivial_group,
)


@pytest.mark.parametrize(
    ("group", "order", "preserving"),
    [
        (tetrahedral_group(), 12, 12),
        (octahedral_group(), 24, 24),
        (full_octahedral_group(), 48, 48),
        (icosahedral_group(), 60, 12),
    ],
)
def test_orders_and_the_elements_that_keep_the_grid(group, order, preserving):
    assert (group.order, group.dim, group.identity) == (order, 3, 0)
    np.testing.assert_array_equal(grid_preserving_elements(group), np.arange(preserving))
    rounded = np.round(group.matrices[:preserving])
    np.testing.assert_array_equal(group.matrices[:preserving], rounded)
    determinants = np.linalg.det(group.matrices)
    expected = np.repeat([1.0, -1.0], 24) if order == 48 else np.ones(order)
    np.testing.assert_allclose(determinants, expected, atol=1e-12)


def test_each_polyhedral_group_starts_with_the_smaller_one():
    tetrahedral = tetrahedral_group().matrices
    np.testing.assert_array_equal(octahedral_group().matrices[:12], tetrahedral)
    np.testing.assert_array_equal(icosahedral_group().matrices[:12], tetrahedral)
    np.testing.assert_array_equal(full_octahedral_group().matrices[:24], octahedral_group().matrices)
    np.testing.assert_array_equal(full_octahedral_group().matrices[24:], -octahedral_group().matrices)


def test_the_documented_order_of_elements():
    tetrahedral = tetrahedral_group().matrices
    half_turns = [np.diag(signs) for signs in ((1, 1, 1), (1, -1, -1), (-1, 1, -1), (-1, -1, 1))]
    np.testing.assert_array_equal(tetrahedral[:4], half_turns)
    for p in range(3):
        for k in range(4):
            np.testing.assert_array_equal(tetrahedral[4 * p + k], half_turns[k] @ tetrahedral[4 * p])
    icosahedral = icosahedral_group().matrices
    axis = np.array([0.0, 1.0, (1 + 5**0.5) / 2])
    np.testing.assert_allclose(icosahedral[12] @ axis, axis, atol=1e-12)
    np.testing.assert_allclose(np.trace(icosahedral[12]), 1 + 2 * np.cos(2 * np.pi / 5), atol=1e-12)
    for j in range(5):
        turn = np.linalg.matrix_power(icosahedral[12], j)
        np.testing.assert_allclose(icosahedral[12 * j : 12 * j + 12], turn @ tetrahedral, atol=1e-12)


@pytest.mark.parametrize("planar", [trivial_group(), cyclic_group(4), dihedral_group(4), dihedral_group(3)])
def test_planar_groups_act_within_slices(planar):
    group = in_plane(planar)
    np.testing.assert_array_equal(group.cayley_table, planar.cayley_table)
    np.testing.assert_array_equal(group.matrices[:, 1:, 1:], planar.matrices)
    np.testing.assert_array_equal(group.matrices[:, 0], np.tile([1.0, 0.0, 0.0], (planar.order, 1)))
    mirrored = in_plane(planar, mirror=True)
    np.testing.assert_array_equal(mirrored.matrices[: planar.order], group.matrices)
    np.testing.assert_array_equal(mirrored.matrices[planar.order :], np.diag([-1.0, 1, 1]) @ group.matrices)


def test_groups_that_are_not_planar_are_refused():
    with pytest.raises(ValueError, match=r"dimension 2; got octahedral, of dimension 3"):
        in_plane(octahedral_group())
    with pytest.raises(ValueError, match="expected a FiniteGroup"):
        in_plane("p4")

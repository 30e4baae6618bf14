"""The bispectrum: against characters and Kronecker products, invariant to 1e-12, and complete where the maximum is not."""

import itertools

import jax.numpy as jnp
import numpy as np
import pytest

from gequi_jax import functional
from gequi_jax.actions import act_on_poses
from gequi_jax.groups import cyclic_group, irreducible_representations, octahedral_group
from tests import families
from tests.reference import bispectrum as reference

GROUPS = [families.SHUFFLED_SQUARE, families.KLEIN, cyclic_group(5), octahedral_group(), families.QUATERNIONS]


def invariants(values, group):
    """Of functions of the pose `[..., group]`, one channel each."""
    return np.asarray(functional.bispectrum(jnp.asarray(values)[..., None], group=group))[..., 0]


@pytest.mark.parametrize("group", GROUPS, ids=families.name)
@pytest.mark.usefixtures("x64")
def test_it_is_invariant(group):
    f = jnp.asarray(np.random.default_rng(0).normal(size=(2, group.order, 3)))
    expected = functional.bispectrum(f, group=group)
    assert expected.shape == (2, functional.num_invariants(group), 3)
    moved = jnp.stack([act_on_poses(g, f, group=group, axis=1) for g in range(group.order)])
    got = functional.bispectrum(moved, group=group)
    np.testing.assert_allclose(got, np.broadcast_to(expected, got.shape), rtol=0, atol=1e-12 * np.abs(expected).max())


@pytest.mark.parametrize("order", [2, 3, 4, 5, 8])
@pytest.mark.usefixtures("x64")
def test_of_cyclic_groups_it_is_that_of_the_characters(order):
    """They are the same numbers in another basis: F_1 F_k conj(F_{k + 1}), with real and imaginary parts."""
    f = np.random.default_rng(0).normal(size=(100, order))
    ours = invariants(f, cyclic_group(order))[:, 1:]
    classical = np.stack([reference.bispectrum_of_characters(each)[1] for each in f])
    classical = np.concatenate([classical.real, classical.imag], axis=1)
    for inputs, outputs in ((ours, classical), (classical, ours)):
        residual = outputs - inputs @ np.linalg.lstsq(inputs, outputs)[0]
        assert np.abs(residual).max() < 1e-10 * np.abs(outputs).max()
    with_others = np.concatenate([ours, f[:, :1]], axis=1)
    assert np.abs(with_others - classical @ np.linalg.lstsq(classical, with_others)[0]).max() > 0.1


@pytest.mark.usefixtures("x64")
def test_it_agrees_with_kronecker_products():
    group = families.SHUFFLED_SQUARE
    f = np.random.default_rng(0).normal(size=group.order)
    irreps = irreducible_representations(group)
    (rho,) = (tau for tau in irreps if tau.dim == 2)
    expected = [np.ravel([f.mean()])]
    for sigma in irreps:
        pair = reference.bispectrum_of_pair(f, rho.matrices, sigma.matrices)
        expected.append(pair.reshape(-1))
    np.testing.assert_allclose(invariants(f, group), np.concatenate(expected), atol=1e-12)


@pytest.mark.parametrize("group", [cyclic_group(4), families.KLEIN, families.QUARTER_TURNS_3D], ids=families.name)
@pytest.mark.usefixtures("x64")
def test_it_separates_the_orbits_of_all_arrangements(group):
    """Maximum, mean and every other symmetric function are the same for all of them."""
    arrangements = np.array(list(itertools.permutations([1.0, 2.0, 4.0, 9.0])))
    ours = invariants(arrangements, group)
    for values, own in zip(arrangements, ours, strict=True):
        same = np.abs(ours - own).max(axis=1) < 1e-9
        moved = [np.asarray(act_on_poses(g, jnp.asarray(values), group=group, axis=0)) for g in range(group.order)]
        assert same.sum() == group.order
        assert all((arrangements[same] == one).all(axis=1).any() for one in moved)


@pytest.mark.usefixtures("x64")
def test_it_separates_arrangements_of_a_group_that_is_not_commutative():
    group = families.SHUFFLED_SQUARE
    random = np.random.default_rng(0)
    values = random.normal(size=group.order)
    swapped = np.array([random.permutation(values) for _ in range(50)])
    assert np.abs(invariants(swapped, group) - invariants(values, group)).max(axis=1).min() > 1e-6


def test_bad_input():
    with pytest.raises(ValueError, match="group axis of size 4"):
        functional.bispectrum(jnp.ones((2, 3, 1)), group=cyclic_group(4))

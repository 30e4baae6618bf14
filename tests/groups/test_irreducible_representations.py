"""Irreducible representations against their axioms, known types and a change of the frame; and the Fourier basis."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gequi_jax.groups import (
    FiniteGroup,
    cyclic_group,
    dihedral_group,
    full_octahedral_group,
    group_fourier_basis,
    icosahedral_group,
    irreducible_representations,
    mirror_group,
    octahedral_group,
    tetrahedral_group,
    trivial_group,
)
from tests import families, random_groups
from tests.random_groups import SETTINGS

GROUPS = [trivial_group(), mirror_group(), *map(cyclic_group, range(2, 17)), *map(dihedral_group, range(2, 9))]
GROUPS += [tetrahedral_group(), octahedral_group(), full_octahedral_group(), icosahedral_group(), families.QUATERNIONS]


def check(group):
    """Verifies everything independently of the library, to 1e-12."""
    irreps = irreducible_representations(group)
    assert sum(rho.dim**2 / rho.endomorphism_dim for rho in irreps) == group.order
    np.testing.assert_array_equal(irreps[0].matrices, np.ones((group.order, 1, 1)))
    for rho in irreps:
        products = np.einsum("aij,bjk->abik", rho.matrices, rho.matrices)
        np.testing.assert_allclose(rho.matrices[group.cayley_table], products, rtol=0, atol=1e-12)
        transposed = rho.matrices.transpose(0, 2, 1)
        np.testing.assert_allclose(rho.matrices[group.inverses], transposed, rtol=0, atol=1e-12)
        np.testing.assert_allclose(np.mean(rho.character**2), rho.endomorphism_dim, rtol=0, atol=1e-12)
        # Frobenius and Schur: the mean of chi(h^2) is 1, 0 and -2 for the three types.
        indicator = rho.character[np.diagonal(group.cayley_table)].mean()
        expected = {"real": 1, "complex": 0, "quaternionic": -2}[rho.type]
        np.testing.assert_allclose(indicator, expected, rtol=0, atol=1e-12)
    for rho, sigma in itertools.combinations(irreps, 2):
        inner = np.einsum("hij,hkl->ijkl", rho.matrices, sigma.matrices) / group.order
        np.testing.assert_allclose(inner, 0.0, rtol=0, atol=1e-12)
    basis = group_fourier_basis(group)
    np.testing.assert_allclose(basis @ basis.T, np.eye(group.order), rtol=0, atol=1e-12)


@pytest.mark.parametrize("group", GROUPS, ids=families.name)
def test_axioms_orthogonality_and_completeness(group):
    check(group)


def test_random_groups():
    orders = set()

    @settings(SETTINGS, max_examples=50)
    @given(group=random_groups.groups(max_order=48), data=st.data())
    def holds(group, data):
        frame = data.draw(random_groups.frames(group.dim))
        group = FiniteGroup(frame @ group.matrices @ frame.T, name=f"random group of order {group.order}")
        check(group)
        orders.add((group.order, (group.cayley_table == group.cayley_table.T).all()))

    holds()
    assert sum(not abelian for _, abelian in orders) >= 3


@pytest.mark.parametrize(
    ("group", "expected"),
    [
        (cyclic_group(4), ["1 real", "1 real", "2 complex"]),
        (cyclic_group(5), ["1 real", "2 complex", "2 complex"]),
        (dihedral_group(4), ["1 real", "1 real", "1 real", "1 real", "2 real"]),
        (tetrahedral_group(), ["1 real", "2 complex", "3 real"]),
        (octahedral_group(), ["1 real", "1 real", "2 real", "3 real", "3 real"]),
        (icosahedral_group(), ["1 real", "3 real", "3 real", "4 real", "5 real"]),
        (families.QUATERNIONS, ["1 real", "1 real", "1 real", "1 real", "4 quaternionic"]),
    ],
    ids=lambda value: families.name(value) if isinstance(value, FiniteGroup) else "",
)
def test_dimensions_and_types(group, expected):
    irreps = irreducible_representations(group)
    assert [f"{rho.dim} {rho.type}" for rho in irreps] == expected
    assert [rho.multiplicity for rho in irreps] == [rho.dim // {"r": 1, "c": 2, "q": 4}[rho.type[0]] for rho in irreps]


def test_the_dihedral_group_has_its_own_matrices():
    np.testing.assert_array_equal(
        irreducible_representations(dihedral_group(4))[-1].matrices, dihedral_group(4).matrices
    )


@pytest.mark.parametrize(
    "group", [dihedral_group(6), octahedral_group(), tetrahedral_group(), families.QUATERNIONS], ids=families.name
)
def test_they_depend_on_the_products_alone(group):
    frame = np.linalg.qr(np.random.default_rng(0).normal(size=(group.dim, group.dim)))[0]
    turned = FiniteGroup(frame @ group.matrices @ frame.T)
    for rho, sigma in zip(irreducible_representations(group), irreducible_representations(turned), strict=True):
        np.testing.assert_allclose(rho.matrices, sigma.matrices, atol=1e-12)


@pytest.mark.parametrize(
    ("group", "dim", "type"),
    [(families.WREATH, 6, "complex"), (families.QUATERNIONS_AND_TRIANGLE, 8, "quaternionic")],
    ids=["complex", "quaternionic"],
)
def test_commuting_matrices_act_on_every_run_alike(group, dim, type):
    check(group)
    largest = irreducible_representations(group)[-1]
    assert (largest.dim, largest.type) == (dim, type)
    size = largest.endomorphism_dim
    generator = np.random.default_rng(0)
    for _ in range(3):
        # The mean over the group of a random matrix is a random commuting matrix.
        random = generator.normal(size=(dim, dim))
        commuting = np.mean(largest.matrices @ random @ largest.matrices.transpose(0, 2, 1), axis=0)
        expected = np.kron(np.eye(dim // size), commuting[:size, :size])
        np.testing.assert_allclose(commuting, expected, atol=1e-12)
        assert np.abs(commuting - commuting[0, 0] * np.eye(dim)).max() > 1e-2


def test_results_are_cached_and_read_only():
    irreps = irreducible_representations(dihedral_group(4))
    assert irreducible_representations(dihedral_group(4)) is irreps
    with pytest.raises(ValueError, match="read-only"):
        irreps[0].matrices[0] = 2.0
    with pytest.raises(ValueError, match="expected a FiniteGroup"):
        irreducible_representations("p4")

"""The group Fourier transform: Plancherel, inversion, block-diagonal translations, its axis and its errors."""

import jax.numpy as jnp
import numpy as np
import pytest

from gequi_jax import functional
from gequi_jax.groups import cyclic_group, dihedral_group, irreducible_representations, octahedral_group
from tests import families

GROUPS = [*families.PLANAR, octahedral_group(), families.QUATERNIONS]


def functions(group, dtype):
    return jnp.asarray(np.random.default_rng(0).normal(size=(3, group.order, 2)), dtype)


@pytest.mark.parametrize("group", GROUPS, ids=families.name)
@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-6), ("float64", 1e-12)])
@pytest.mark.usefixtures("x64")
def test_it_is_orthogonal_and_has_an_inverse(group, dtype, tolerance):
    x = functions(group, dtype)
    coefficients = functional.group_fourier_transform(x, group=group)
    assert coefficients.dtype == x.dtype
    np.testing.assert_allclose(jnp.sum(coefficients**2, axis=1), jnp.sum(x**2, axis=1), rtol=tolerance)
    inverse = functional.inverse_group_fourier_transform(coefficients, group=group)
    np.testing.assert_allclose(inverse, x, rtol=0, atol=2 * tolerance)


@pytest.mark.parametrize("group", GROUPS, ids=families.name)
@pytest.mark.usefixtures("x64")
def test_translations_multiply_each_copy_by_its_representation(group):
    x = functions(group, "float64")
    coefficients = np.asarray(functional.group_fourier_transform(x, group=group))
    for g in range(group.order):
        moved = functional.group_fourier_transform(x[:, group.cayley_table[group.inverses[g]]], group=group)
        start, expected = 0, []
        for rho in irreducible_representations(group):
            for _ in range(rho.multiplicity):
                block = coefficients[:, start : start + rho.dim]
                expected.append(np.einsum("ij,bjc->bic", rho.matrices[g], block))
                start += rho.dim
        np.testing.assert_allclose(moved, np.concatenate(expected, axis=1), atol=1e-12)


def test_the_coefficients_are_those_of_the_equation():
    group = dihedral_group(3)
    x = functions(group, "float32")
    rho = irreducible_representations(group)[-1]
    last = functional.group_fourier_transform(x, group=group)[:, -1]
    expected = sum(np.sqrt(2 / 6) * rho.matrices[h, 1, 1] * x[:, h] for h in range(6))
    np.testing.assert_allclose(last, expected, atol=1e-6)


def test_any_axis_can_hold_the_poses():
    group = cyclic_group(8)
    x = functions(group, "float32")
    expected = functional.group_fourier_transform(x, group=group)
    for axis in (0, 1, -1):
        got = functional.group_fourier_transform(jnp.moveaxis(x, 1, axis), group=group, axis=axis)
        np.testing.assert_allclose(jnp.moveaxis(got, axis, 1), expected, atol=1e-6)


@pytest.mark.parametrize("axis", [0, 3])
@pytest.mark.parametrize(
    "transform",
    [functional.group_fourier_transform, functional.inverse_group_fourier_transform],
    ids=lambda f: f.__name__,
)
def test_bad_axes_are_refused(transform, axis):
    with pytest.raises(ValueError, match="an axis of size 4"):
        transform(jnp.ones((3, 4, 2)), group=cyclic_group(4), axis=axis)

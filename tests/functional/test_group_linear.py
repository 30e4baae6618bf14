"""The block-diagonal linear map of the poses against a loop, against a convolution, and its errors."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gequi_jax import functional
from gequi_jax.groups import cyclic_group, dihedral_group, octahedral_group, tetrahedral_group
from tests import families
from tests.reference import group_linear as reference

# All types of irreducible representations; the icosahedral group is transformed by products, the others by sums.
GROUPS = [*families.PLANAR, families.HALF_TURN_1D, cyclic_group(5), dihedral_group(3), tetrahedral_group()]
GROUPS += [octahedral_group(), families.QUATERNIONS, families.QUATERNIONS_AND_TRIANGLE, families.ICOSAHEDRAL]


def arrays(group, in_features=2, out_features=3, dtype="float64"):
    generator = np.random.default_rng(0)
    x = generator.normal(size=(2, 3, group.order, in_features))
    kernel = generator.normal(size=(group.order, in_features, out_features))
    return jnp.asarray(x, dtype), jnp.asarray(kernel, dtype)


@pytest.mark.parametrize("group", GROUPS, ids=families.name)
@pytest.mark.usefixtures("x64")
def test_it_agrees_with_the_loop(group):
    x, kernel = arrays(group)
    y = jax.jit(functional.group_linear, static_argnames="group")(x, kernel, group=group)
    expected = [[reference.group_linear(group, each, np.asarray(kernel)) for each in row] for row in np.asarray(x)]
    np.testing.assert_allclose(y, expected, rtol=0, atol=1e-14 * np.abs(expected).max())


@pytest.mark.parametrize("group", [cyclic_group(4), dihedral_group(4), octahedral_group()], ids=families.name)
def test_it_is_the_group_convolution_of_one_position(group):
    x, kernel = arrays(group, dtype="float32")
    on_grid = x.reshape(2, *(1,) * (group.dim - 1), 3, group.order, 2)
    window = (1,) * group.dim
    expected = functional.group_conv(on_grid, kernel.reshape(*window, *kernel.shape), group=group)
    got = functional.group_linear(on_grid, kernel, group=group)
    assert jnp.abs(got - expected).max() < 1e-6 * jnp.abs(expected).max()


@pytest.mark.usefixtures("x64")
def test_derivatives_of_both_modes_are_those_of_the_expanded_matrix():
    group = families.SHUFFLED_SQUARE
    x, kernel = arrays(group)
    pose = group.cayley_table[group.inverses]  # [h, m] -> h^-1 m

    def expanded(x, kernel):
        return jnp.einsum("abmi,hmio->abho", x, kernel[pose])

    def ours(x, kernel):
        return functional.group_linear(x, kernel, group=group)

    cotangent = expanded(x, kernel)
    for derivative in (
        lambda function: jax.vjp(function, x, kernel)[1](cotangent),
        lambda function: jax.jvp(function, (x, kernel), (x, 2 * kernel)),
    ):
        for got, expected in zip(derivative(ours), derivative(expanded), strict=True):
            np.testing.assert_allclose(got, expected, rtol=0, atol=1e-14 * np.abs(expected).max())


@pytest.mark.parametrize(("group", "share"), [(dihedral_group(4), 0.21), (octahedral_group(), 0.18)])
def test_it_costs_a_fraction_of_the_dense_map(group, share):
    """768 numbers a token, both transforms and the transform of the kernel included."""
    features = 768 // group.order
    x = jax.ShapeDtypeStruct((4096, group.order, features), "float32")
    kernel = jax.ShapeDtypeStruct((group.order, features, features), "float32")
    lowered = jax.jit(functional.group_linear, static_argnames="group").lower(x, kernel, group=group)
    flops = lowered.compile().cost_analysis()["flops"]
    dense = 2 * 4096 * 768**2
    assert dense * sum_of_cubes(group) / group.order**2 < flops < share * dense


def sum_of_cubes(group):
    return {8: 12, 24: 64}[group.order]


def test_half_precision_keeps_its_type():
    group = dihedral_group(4)
    x, kernel = arrays(group, dtype="float32")
    got = functional.group_linear(x.astype("bfloat16"), kernel.astype("bfloat16"), group=group)
    assert got.dtype == jnp.bfloat16
    expected = functional.group_linear(x, kernel, group=group)
    assert jnp.abs(got.astype("float32") - expected).max() < 3e-2 * jnp.abs(expected).max()


@pytest.mark.usefixtures("unchecked_arrays")
@pytest.mark.parametrize(
    ("x", "kernel", "message"),
    [
        ((2, 3, 2), (4, 2, 3), "group axis of size 4"),
        ((2, 4, 2), (8, 2, 3), r"kernel: expected \[group, in_features, out_features\]"),
        ((2, 4, 5), (4, 2, 3), "expected in_features 5"),
        ((4,), (4, 2, 3), r"\[\.\.\., group, in_features\]"),
    ],
)
def test_bad_input(x, kernel, message):
    with pytest.raises(ValueError, match=message):
        functional.group_linear(jnp.ones(x), jnp.ones(kernel), group=cyclic_group(4))

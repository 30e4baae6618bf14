"""The assertions themselves: what they measure, what they say, and that they fail when they should."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gequi_jax import testing
from gequi_jax.groups import cyclic_group, dihedral_group
from gequi_jax.testing import assert_equivariant, assert_invariant, equivariance_errors


def test_errors_are_relative_and_one_for_each_element(key):
    group = dihedral_group(4)
    x = jax.random.normal(key, (2, 5, 5, 3))
    assert equivariance_errors(jnp.cos, x, group=group, output="grid").tolist() == [0.0] * 8

    def shifted(x):
        return x + jnp.roll(x, 1, axis=1)

    errors = equivariance_errors(shifted, x, group=group, output="grid")
    turned = np.rot90(shifted(x), 1, (1, 2))
    by_hand = np.linalg.norm(shifted(jnp.rot90(x, 1, (1, 2))) - turned) / np.linalg.norm(turned)
    np.testing.assert_allclose(errors[1], by_hand, rtol=1e-6)
    assert errors[0] == 0.0
    np.testing.assert_allclose(
        equivariance_errors(lambda x: 1e6 * shifted(x), x, group=group, output="grid"), errors, rtol=1e-5
    )


def test_a_failure_names_element_error_and_tolerance(key):
    x = jax.random.normal(key, (1, 4, 4, 1))
    with pytest.raises(AssertionError, match=r"element \d has relative error .* above the tolerance 1e-05; 3 of the 4"):
        assert_equivariant(lambda x: x.at[:, 0].set(0.0), x, group=cyclic_group(4), output="grid")
    assert_equivariant(
        lambda x: x + 1e-4 * jnp.eye(4)[None, :, :, None], x, group=cyclic_group(4), output="grid", rtol=1e-2
    )


def test_a_constant_over_poses_is_not_a_feature_map_of_a_turning_grid(key):
    group = cyclic_group(4)
    x = jax.random.normal(key, (1, 4, 4, 4, 1))
    permuted = lambda x: jnp.roll(x, 1, axis=-2)  # noqa: E731
    assert_equivariant(permuted, x, group=group, input="feature_map")  # C_4 is abelian: permuting poses commutes
    reversed_poses = lambda x: x[..., ::-1, :]  # noqa: E731
    with pytest.raises(AssertionError):
        assert_equivariant(reversed_poses, x, group=group, input="feature_map")


def test_invariance(key):
    x = jax.random.normal(key, (2, 5, 5, 2))
    assert_invariant(lambda x: x.mean(axis=(1, 2)), x, group=dihedral_group(4))
    with pytest.raises(AssertionError, match="grid -> invariant"):
        assert_invariant(lambda x: x[:, 0, 0], x, group=dihedral_group(4))


def test_outputs_that_are_not_finite_fail(key):
    x = jax.random.normal(key, (1, 4, 4, 1))
    for value in (np.nan, np.inf):
        with jax.debug_nans(False), pytest.raises(AssertionError, match="non-finite"):
            assert_invariant(lambda x, value=value: x.sum() * value, x, group=cyclic_group(4))


def test_zeros_are_equivariant_only_if_they_stay_zeros(key):
    x = jax.random.normal(key, (1, 4, 4, 1))
    assert_equivariant(lambda x: 0 * x, x, group=cyclic_group(4), output="grid")
    corner = x[0, 0, 0, 0]
    with pytest.raises(AssertionError):
        assert_equivariant(
            lambda x: jnp.where(x[0, 0, 0, 0] == corner, 0 * x, x), x, group=cyclic_group(4), output="grid"
        )


def test_interpolated_elements_are_left_out_unless_asked_for(key):
    x = jax.random.normal(key, (1, 5, 5, 1))
    ramp = lambda x: x**2  # noqa: E731
    assert_equivariant(ramp, x, group=cyclic_group(8), output="grid")
    with pytest.raises(AssertionError, match="element 1"):
        assert_equivariant(ramp, x, group=cyclic_group(8), output="grid", elements=[1])
    assert len(equivariance_errors(ramp, x, group=cyclic_group(8), output="grid")) == 8


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"input": "image"}, "input: expected one of"),
        ({"output": "pixels"}, "output: expected one of"),
        ({"output": "feature_map"}, "group, channels"),
        ({"input": "feature_map", "output": "grid"}, "group, channels"),
    ],
)
def test_bad_input(options, message):
    with pytest.raises(ValueError, match=message):
        equivariance_errors(lambda x: x, jnp.ones((1, 4, 4, 1)), group=cyclic_group(4), **options)


def test_an_output_that_does_not_turn_with_its_grid_is_named():
    with pytest.raises(ValueError, match="is the output really a 'grid'"):
        equivariance_errors(
            lambda x: jnp.ones((1, 3, 5, 1)), jnp.ones((1, 3, 5, 1)), group=cyclic_group(4), output="grid"
        )


def test_tolerances():
    assert testing.tolerance(jnp.float64) < testing.tolerance(jnp.float32) < testing.tolerance(jnp.bfloat16)
    with pytest.raises(ValueError, match="expected one of"):
        testing.tolerance(jnp.int32)


def test_accelerators_multiply_float32_in_fewer_bits_unless_told_otherwise():
    assert testing.tolerance("float32", platform="gpu") == testing.tolerance("float32")
    with jax.default_matmul_precision("tensorfloat32"):
        assert testing.tolerance("float32", platform="gpu") > testing.tolerance("float32")

"""Symmetrisation: any function becomes equivariant, and an equivariant one stays what it is."""

import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from gequi_jax import functional, nn
from gequi_jax.groups import group_by_name, octahedral_group
from gequi_jax.testing import assert_equivariant
from tests import families

GROUPS = [group_by_name("p4m"), families.SHUFFLED_SQUARE, octahedral_group()]


def noise(group, *axes):
    return jnp.asarray(np.random.default_rng(0).normal(size=(2, *(4,) * group.dim, *axes, 2)), jnp.float32)


def ramp(x):
    """A function of images that commutes with nothing."""
    weights = np.arange(1, 1 + np.prod(x.shape[1:]), dtype=np.float32).reshape(1, *x.shape[1:])
    return jnp.tanh(x * weights)


FUNCTIONS = {
    ("grid", "grid"): ramp,
    ("grid", "invariant"): lambda x: ramp(x).reshape(len(x), -1)[:, :3],
    ("feature_map", "feature_map"): ramp,
    ("feature_map", "invariant"): lambda x: ramp(x).reshape(len(x), -1)[:, :3],
}


@pytest.mark.parametrize("group", GROUPS, ids=lambda group: group.name)
@pytest.mark.parametrize(("input", "output"), list(FUNCTIONS))
def test_any_function_becomes_equivariant(input, output, group):
    function = FUNCTIONS[input, output]
    x = noise(group, *([group.order] if input == "feature_map" else []))
    spaces = {"input": input, "output": output}
    assert_equivariant(functional.symmetrize(function, group, **spaces), x, group=group, **spaces)
    with pytest.raises(AssertionError):
        assert_equivariant(function, x, group=group, **spaces)


def test_an_equivariant_function_stays_what_it_is():
    group = group_by_name("p4m")
    layer = nn.GroupConv(2, 2, 3, group=group, rngs=nnx.Rngs(0))
    x = noise(group, group.order)
    symmetrized = functional.symmetrize(layer, group, input="feature_map", output="feature_map")
    np.testing.assert_allclose(symmetrized(x), layer(x), rtol=1e-5, atol=1e-5)


def test_the_mean_over_every_element_once():
    group = group_by_name("p4")
    x = jnp.asarray(np.random.default_rng(0).normal(size=(1, 3, 3, 1)), jnp.float32)
    expected = np.mean([ramp(np.rot90(x, -k, axes=(1, 2)))[:, 0, 1] for k in range(4)], axis=0)
    np.testing.assert_allclose(functional.symmetrize(lambda x: ramp(x)[:, 0, 1], group)(x), expected, rtol=1e-6)


def test_unknown_spaces_are_refused():
    with pytest.raises(ValueError, match="input: expected one of 'grid', 'feature_map'; got 'invariant'"):
        functional.symmetrize(ramp, group_by_name("p4"), input="invariant")
    with pytest.raises(ValueError, match="output: expected one of"):
        functional.symmetrize(ramp, group_by_name("p4"), output="vector")

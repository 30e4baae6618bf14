"""GroupLinear: the function it computes, its parameters and its errors. Equivariance is a row of the table."""

import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from gequi_jax import functional, nn
from gequi_jax.groups import dihedral_group


def test_it_is_a_group_convolution_of_one_position_with_the_same_parameters():
    group = dihedral_group(4)
    layer = nn.GroupLinear(3, 4, group=group, bias_init=nnx.initializers.normal(), rngs=nnx.Rngs(0))
    convolution = nn.GroupConv(3, 4, 1, group=group, rngs=nnx.Rngs(1))
    convolution.kernel[...] = layer.kernel[...][None, None]
    convolution.bias[...] = layer.bias[...]
    x = jnp.asarray(np.random.default_rng(0).normal(size=(2, 3, 3, 8, 3)), "float32")
    np.testing.assert_allclose(layer(x), convolution(x), atol=1e-6)


def test_parameters_and_types():
    layer = nn.GroupLinear(3, 4, group=dihedral_group(4), use_bias=False, dtype="bfloat16", rngs=nnx.Rngs(0))
    assert layer.bias is None
    assert layer.kernel.shape == (8, 3, 4)
    assert layer.kernel.dtype == jnp.float32
    assert layer(jnp.ones((5, 8, 3))).dtype == jnp.bfloat16


def test_the_initial_kernel_keeps_the_variance():
    layer = nn.GroupLinear(32, 32, group=dihedral_group(4), rngs=nnx.Rngs(0))
    x = jnp.asarray(np.random.default_rng(0).normal(size=(64, 8, 32)), "float32")
    np.testing.assert_allclose(jnp.var(layer(x)), 1.0, rtol=0.1)


def test_the_module_calls_the_function():
    layer = nn.GroupLinear(3, 4, group=dihedral_group(4), rngs=nnx.Rngs(0))
    x = jnp.asarray(np.random.default_rng(0).normal(size=(2, 8, 3)), "float32")
    expected = functional.group_linear(x, layer.kernel[...], group=layer.group)
    np.testing.assert_array_equal(layer(x), expected)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [((0, 4), "in_features: expected a positive integer"), ((3, 1.5), "out_features: expected a positive integer")],
)
def test_bad_sizes(arguments, message):
    with pytest.raises(ValueError, match=message):
        nn.GroupLinear(*arguments, group=dihedral_group(4), rngs=nnx.Rngs(0))


def test_bad_groups_and_channels():
    with pytest.raises(ValueError, match="group: expected a FiniteGroup"):
        nn.GroupLinear(3, 4, group="p4m", rngs=nnx.Rngs(0))
    layer = nn.GroupLinear(3, 4, group=dihedral_group(4), rngs=nnx.Rngs(0))
    with pytest.raises(ValueError, match="expected 3 input channels"):
        layer(jnp.ones((2, 8, 5)))

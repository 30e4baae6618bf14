"""Layers of fields: they call the functions, keep types and sizes, and reject what does not fit."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from gequi_jax import functional, nn
from gequi_jax.groups import dihedral_group

GROUP = dihedral_group(4)


def noise(*shape):
    return jnp.asarray(np.random.default_rng(0).normal(size=shape), jnp.float32)


@pytest.mark.parametrize(
    ("layer", "function", "components"),
    [
        (nn.VectorReadout, functional.vector_readout, (2,)),
        (nn.TensorReadout, functional.tensor_readout, (2, 2)),
    ],
)
def test_readouts_call_the_function(layer, function, components):
    readout = layer(3, 4, group=GROUP, rngs=nnx.Rngs(0))
    x = noise(1, 2, 2, 8, 3)
    np.testing.assert_array_equal(readout(x), function(x, group=GROUP, kernel=readout.kernel[...]))
    assert readout(x).shape == (1, 2, 2, 4, *components)
    narrow = layer(3, 4, group=GROUP, dtype="bfloat16", rngs=nnx.Rngs(0))
    assert jax.eval_shape(narrow, x).dtype == jnp.bfloat16
    assert narrow.kernel.dtype == jnp.float32


@pytest.mark.parametrize(
    ("layer", "function", "components"),
    [(nn.VectorLifting, functional.lift_vectors, (2,)), (nn.TensorLifting, functional.lift_tensors, (2, 2))],
)
def test_liftings_call_the_function(layer, function, components):
    x = noise(1, 2, 2, 3, *components)
    np.testing.assert_array_equal(layer(group=GROUP)(x), function(x, group=GROUP))


def test_bad_input():
    with pytest.raises(ValueError, match="in_features: expected a positive integer"):
        nn.VectorReadout(0, 1, group=GROUP, rngs=nnx.Rngs(0))
    with pytest.raises(ValueError, match="expected 3 input channels"):
        nn.TensorReadout(3, 1, group=GROUP, rngs=nnx.Rngs(0))(noise(1, 2, 2, 8, 2))
    for lifting in (nn.VectorLifting, nn.TensorLifting):
        with pytest.raises(ValueError, match="group: expected a FiniteGroup"):
            lifting(group="p4m")

"""Random masks: the values of `jax.random`, alone and under `vmap`, and dropout with them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from gequi_jax.nn import Dropout
from gequi_jax.nn._bernoulli import bernoulli

SHAPES = [(), (7,), (3, 5, 2), (2, 3, 3, 4, 5)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("probability", [0.0, 0.1, 0.7, 0.999, 1.0])
def test_the_values_are_those_of_jax_random(shape, probability, key):
    expected = jax.random.bernoulli(key, jnp.float32(probability), shape)
    np.testing.assert_array_equal(bernoulli(key, probability, shape), expected)
    if 0.1 < probability < 0.9 and len(shape) > 1:
        assert 0 < expected.mean() < 1
        other = bernoulli(jax.random.fold_in(key, 1), probability, shape)
        assert (other != expected).any()


def test_keys_of_several_seeds_draw_what_each_draws_alone(key):
    keys = jax.random.split(key, 3)
    together = jax.vmap(lambda key: bernoulli(key, 0.7, (4, 5)))(keys)
    alone = jnp.stack([jax.random.bernoulli(key, jnp.float32(0.7), (4, 5)) for key in keys])
    np.testing.assert_array_equal(together, alone)


def test_keys_of_another_generator_work():
    key = jax.random.key(0, impl="rbg")
    np.testing.assert_array_equal(bernoulli(key, 0.7, (50,)), jax.random.bernoulli(key, jnp.float32(0.7), (50,)))


@pytest.mark.parametrize("broadcast_dims", [(), (1, -1)])
def test_dropout_is_that_of_flax(broadcast_dims, key):
    x = jax.random.normal(key, (4, 5, 5, 2, 3))
    ours, flax = (layer(0.3, broadcast_dims=broadcast_dims, rngs=nnx.Rngs(7)) for layer in (Dropout, nnx.Dropout))
    for _ in range(2):
        np.testing.assert_array_equal(ours(x), flax(x))
    for rngs in (key, jax.random.PRNGKey(3), nnx.Rngs(dropout=1)):
        copy = nnx.clone(rngs) if isinstance(rngs, nnx.Rngs) else rngs
        np.testing.assert_array_equal(ours(x, rngs=rngs), flax(x, rngs=copy))
    ours.eval()
    np.testing.assert_array_equal(ours(x), x)

"""Dropout: its rate, independent entries and keys, what it shares with `nnx.Dropout`, and transformations."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from gequi_jax.nn import Dropout

SHAPE = (64, 50, 40)


def kept(key, rate, shape=SHAPE):
    """1 where an entry is kept and 0 where it is dropped."""
    return np.asarray(Dropout(rate)(jnp.ones(shape), rngs=key) > 0, float)


def correlation(first, second):
    first, second = first - first.mean(), second - second.mean()
    return (first * second).mean() / (first.std() * second.std())


@pytest.mark.parametrize("rate", [0.003, 0.1, 0.3, 0.5, 0.97])
def test_the_rate_and_the_scale(rate, key):
    y = Dropout(rate)(jnp.ones(SHAPE), rngs=key)
    deviation = (rate * (1 - rate) / y.size) ** 0.5
    assert abs((y == 0).mean() - rate) < 5 * deviation
    np.testing.assert_allclose(y[y > 0], 1 / (1 - rate), rtol=1e-6)


@pytest.mark.parametrize("rate", [0.1, 0.5])
def test_entries_are_independent(rate, key):
    mask = kept(key, rate).ravel()
    for step in (1, 2, 3, 4, 8, 40, 64, 2000, 4096):
        assert abs(correlation(mask[step:], mask[:-step])) < 5 / mask.size**0.5
    # Triples, of which pairs say nothing.
    assert abs(correlation(mask[:-2] * mask[1:-1], mask[2:])) < 5 / mask.size**0.5


def test_keys_are_independent(key):
    keys = [key, *jax.random.split(key, 4), jax.random.key(1), jax.random.key(0, impl="rbg")]
    masks = [kept(key, 0.5) for key in keys]
    for index, first in enumerate(masks):
        for second in masks[:index]:
            assert abs(correlation(first, second)) < 5 / first.size**0.5


def test_keys_of_several_seeds_draw_what_each_draws_alone(key):
    keys = jax.random.split(key, 3)
    x = jnp.ones((4, 5))
    together = jax.vmap(lambda key: Dropout(0.7)(x, rngs=key))(keys)
    np.testing.assert_array_equal(together, jnp.stack([Dropout(0.7)(x, rngs=key) for key in keys]))


def test_streams_count_as_those_of_flax():
    ours, flax = (layer(0.3, rngs=nnx.Rngs(7)) for layer in (Dropout, nnx.Dropout))
    first, second = (ours(jnp.ones(100)) for _ in range(2))
    flax(flax(jnp.ones(100)))
    assert (first != second).any()
    assert ours.rngs.count[...] == flax.rngs.count[...] == 2
    np.testing.assert_array_equal(Dropout(0.3, rngs=nnx.Rngs(7))(jnp.ones(100)), first)
    ours.eval()
    np.testing.assert_array_equal(ours(first), first)


def test_axes_that_share_a_draw(key):
    y = Dropout(0.3, broadcast_dims=(1, -1))(jnp.ones((40, 3, 5, 2)), rngs=key)
    np.testing.assert_array_equal(y, jnp.broadcast_to(y[:, :1, :, :1], y.shape))
    assert 0 < (y == 0).mean() < 1

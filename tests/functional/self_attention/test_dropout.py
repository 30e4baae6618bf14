"""Masks of attention dropout: their rate, their independence, and that they do not depend on blocks."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gequi_jax.functional.self_attention._dropout import Dropout


def masks(rate, *, seeds=64, shape=(5, 4, 25)):
    dropout = Dropout(rate, jax.random.key(3))
    draw = jax.jit(jax.vmap(lambda seed: dropout.mask(seed[None], shape)))
    return np.asarray(draw(dropout.split(seeds)), float).reshape(seeds, -1)


@pytest.mark.parametrize("rate", [0.02, 0.1, 0.5, 0.97])
def test_the_rate(rate):
    kept = masks(rate)
    deviation = (rate * (1 - rate) / kept.size) ** 0.5
    assert abs(kept.mean() - (1 - rate)) < 5 * deviation


@pytest.mark.parametrize("axis", [0, 1])
def test_neighbouring_seeds_and_neighbouring_weights_are_independent(axis):
    centred = masks(0.5) - 0.5
    for step in (1, 2, 4, 8):
        shifted = np.roll(centred, step, axis=axis)
        correlation = (centred * shifted).mean() / centred.var()
        assert abs(correlation) < 5 / centred.size**0.5


def test_each_part_of_the_last_axis_has_its_own_seed():
    dropout = Dropout(0.3, jax.random.key(3))
    seeds = dropout.split(3)
    whole = dropout.mask(seeds, (2, 4, 15))
    parts = [dropout.mask(seed[None], (2, 4, 5)) for seed in seeds]
    np.testing.assert_array_equal(whole, jnp.concatenate(parts, axis=-1))
    assert not np.array_equal(parts[0], parts[1])

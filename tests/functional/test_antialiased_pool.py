"""Antialiased pooling against a loop, what it does to constants and high frequencies, and the sides that it rejects."""

import jax.numpy as jnp
import numpy as np
import pytest

from gequi_jax import functional, nn
from gequi_jax.groups import cyclic_group
from gequi_jax.testing import equivariance_errors
from tests.reference import resampling as reference


@pytest.mark.parametrize(("sides", "window_size"), [((6, 9), 2), ((1, 4), 2), ((6, 7), 3), ((8, 5), 4), ((3, 2), 1)])
def test_it_agrees_with_a_loop(sides, window_size):
    x = np.random.default_rng(0).normal(size=(*sides, 2)).astype(np.float32)
    y = functional.antialiased_pool(jnp.asarray(x)[None], dim=2, window_size=window_size)[0]
    np.testing.assert_allclose(y, reference.antialiased_pool(x, window_size), atol=1e-6)


def test_constants_stay_and_the_highest_frequency_goes():
    wave = (-1.0) ** np.arange(12)
    x = jnp.asarray(np.stack([np.ones(12), wave], axis=-1)[None], jnp.float32)
    y = np.asarray(functional.antialiased_pool(x, dim=1))
    np.testing.assert_allclose(y[..., 0], 1.0)
    np.testing.assert_allclose(y[0, 1:-1, 1], 0.0, atol=1e-7)
    # A negative control: without the filter, the wave becomes a constant.
    assert np.ptp(wave[::2]) == 0.0


def test_positions_that_are_not_symmetric_are_rejected_and_would_break_equivariance():
    x = jnp.asarray(np.random.default_rng(0).normal(size=(1, 5, 5, 1)), jnp.float32)
    with pytest.raises(ValueError, match="positions 3 apart are not symmetric about the centre of a side of 5"):
        functional.antialiased_pool(x, dim=2, window_size=3)
    errors = equivariance_errors(lambda x: x[:, ::3, ::3], x, group=cyclic_group(4), output="grid")
    assert errors.max() > 0.5


def test_the_module_calls_the_function():
    x = jnp.asarray(np.random.default_rng(0).normal(size=(2, 4, 4, 4, 3)), jnp.float32)
    layer = nn.AntialiasedPool(group=cyclic_group(4))
    np.testing.assert_array_equal(layer(x), functional.antialiased_pool(x, dim=2))
    with pytest.raises(ValueError, match="window_size: expected a positive integer"):
        nn.AntialiasedPool(0, group=cyclic_group(4))

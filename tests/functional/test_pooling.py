"""Pooling over poses and space."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gequi_jax import functional


@pytest.mark.parametrize(("reduction", "reduce"), [("max", np.max), ("mean", np.mean), ("sum", np.sum)])
def test_pooling_reduces_what_it_says(reduction, reduce, key):
    x = np.asarray(jax.random.normal(key, (2, 4, 6, 3, 5)))
    np.testing.assert_allclose(functional.group_pool(jnp.asarray(x), reduction=reduction), reduce(x, axis=3), atol=1e-5)
    everywhere = functional.global_spatial_pool(jnp.asarray(x), dim=2, reduction=reduction)
    np.testing.assert_allclose(everywhere, reduce(x, axis=(1, 2)), atol=1e-5)
    blocks = functional.spatial_pool(jnp.asarray(x), dim=2, window_size=2, reduction=reduction)
    for row in range(2):
        for column in range(3):
            block = x[:, 2 * row : 2 * row + 2, 2 * column : 2 * column + 2]
            np.testing.assert_allclose(blocks[:, row, column], reduce(block, axis=(1, 2)), atol=1e-5)


def test_sizes_that_blocks_do_not_tile_are_refused_or_cut():
    x = jnp.ones((1, 5, 4, 2))
    with pytest.raises(ValueError, match="divisible by 2"):
        functional.spatial_pool(x, dim=2)
    assert functional.spatial_pool(x, dim=2, allow_inequivariant=True).shape == (1, 2, 2, 2)


def test_unknown_reductions_are_refused():
    with pytest.raises(ValueError, match="one of"):
        functional.group_pool(jnp.ones((1, 2, 2, 4, 1)), reduction="median")

"""Tiled prediction: equal to that of the whole image, and only with the margin that the network needs."""

import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from gequi_jax.groups import cyclic_group, mirror_group, trivial_group
from gequi_jax.models import UNet, predict_in_tiles
from tests.models.test_restrict import logits, perturbed, relative_error
from tests.networks import random_weights


def network(group, depth):
    shape = (*(32,) * group.dim, 1)
    sizes = {"input_shape": shape, "num_classes": 2, "features": 3, "depth": depth}
    return perturbed(random_weights(lambda: UNet(group=group, rngs=nnx.Rngs(0), **sizes), gain=2.0))


def whole(model, x):
    """The output for the whole image, which must not be the same everywhere."""
    y = np.asarray(logits(model, jnp.asarray(x)))
    assert y.std(axis=tuple(range(y.ndim - 1))).min() > 1e-2
    return y


def noise(*shape):
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


# Even, odd, padded, and no longer than a tile.
@pytest.mark.parametrize("sides", [(62, 57), pytest.param((63, 20), marks=pytest.mark.slow)])
def test_tiles_give_the_prediction_of_the_whole_image(sides):
    model, x = network(cyclic_group(2), depth=1), noise(2, *sides, 1)
    expected = whole(model, x)
    tiled = predict_in_tiles(model, x, tile_size=32)
    assert tiled.shape == expected.shape
    assert relative_error(tiled, expected) < 1e-5


def test_deeper_networks_and_lines():
    """A depth at which sides are padded, on the line, where the margin is nearly exhausted."""
    model, x = network(mirror_group(1), depth=3), noise(1, 503, 1)
    assert model.receptive_radius == 65
    expected = whole(model, x)
    assert relative_error(predict_in_tiles(model, x, tile_size=144), expected) < 1e-5
    # The negative control: without a margin, the sides of the tiles show.
    assert relative_error(predict_in_tiles(model, x, tile_size=144, margin=0), expected) > 1e-2


def test_no_output_reads_beyond_the_radius_and_some_read_nearly_as_far():
    model, radius = network(trivial_group(1), depth=2), 29
    assert model.receptive_radius == radius
    x = noise(1, 128, 1)
    moved = x.copy()
    moved[0, 60] += 10.0
    changed = np.flatnonzero(np.abs(whole(model, moved) - whole(model, x)).max(axis=(0, 2)) > 0)
    assert 60 - radius <= changed.min() <= 60 - radius + 6
    assert 60 + radius >= changed.max() >= 60 + radius - 6


def test_tiles_that_do_not_fit_are_rejected():
    model = network(trivial_group(1), depth=2)
    with pytest.raises(ValueError, match="tile_size: expected a multiple of 4, at least 64; got 60"):
        predict_in_tiles(model, noise(1, 128, 1), tile_size=60)
    with pytest.raises(ValueError, match="expected a multiple of 4"):
        predict_in_tiles(model, noise(1, 128, 1), tile_size=70)
    with pytest.raises(ValueError, match="margin: expected an integer of at least 0"):
        predict_in_tiles(model, noise(1, 128, 1), tile_size=64, margin=-1)

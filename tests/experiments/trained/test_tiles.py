import numpy as np
import pytest
from flax import nnx

from experiments.errors import UserError
from experiments.trained.tiles import whole_or_tiled
from gequi_jax import groups, models

SIZES = {"input_shape": (8, 8, 1), "num_classes": 1, "features": 1, "depth": 1}
NETWORK = nnx.eval_shape(lambda: models.UNet(group=groups.trivial_group(), rngs=nnx.Rngs(0), **SIZES))
IMAGE = np.random.default_rng(0).integers(0, 256, (51, 30, 1), np.uint8)


def as_float(images):
    return images / np.float32(255) if images.dtype == np.uint8 else images


@pytest.mark.parametrize("seeds", [None, 3])
def test_tiles_of_every_seed_are_joined(seeds):
    shapes = []

    def apply(images):
        shapes.append(images.shape[1:-1])
        values = np.concatenate([as_float(images), 1 - as_float(images)], axis=-1)
        return values if seeds is None else np.stack([values * (seed + 1) for seed in range(seeds)])

    whole = whole_or_tiled(NETWORK, apply, 0)(IMAGE)
    assert whole.shape == ((51, 30, 2) if seeds is None else (3, 51, 30, 2))
    assert shapes == [(51, 30)]
    np.testing.assert_allclose(whole_or_tiled(NETWORK, apply, 24)(IMAGE), whole, atol=1e-6)
    assert len(shapes) > 3
    assert max(max(shape) for shape in shapes[1:]) <= 25


def test_tiles_that_are_too_small_are_one_line():
    with pytest.raises(UserError, match="tile_size: expected a multiple of 2, at least 24; got 10"):
        whole_or_tiled(NETWORK, as_float, 10)(IMAGE)

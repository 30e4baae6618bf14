import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments import data


def images(count=6, size=9, channels=1):
    return jax.random.uniform(jax.random.key(1), (count, size, size, channels))


@pytest.mark.parametrize("name", data.AUGMENTATIONS)
def test_augmentation_keeps_shape_and_range_and_is_a_function_of_its_key(name):
    function = jax.jit(data.AUGMENTATIONS[name])
    batch = images()
    result = function(jax.random.key(0), batch)
    assert result.shape == batch.shape
    assert result.dtype == batch.dtype
    assert 0 <= result.min() <= result.max() <= 1 + 1e-6
    np.testing.assert_array_equal(result, function(jax.random.key(0), batch))
    assert not np.array_equal(result, function(jax.random.key(7), batch))


def test_random_crop_and_flip_only_move_pixels():
    ramp = jnp.broadcast_to(jnp.arange(1.0, 82.0).reshape(1, 9, 9, 1), (50, 9, 9, 1))
    cropped = np.asarray(data.AUGMENTATIONS["random_crop"](jax.random.key(0), ramp))
    assert set(np.unique(cropped)) <= set(range(82))
    assert len({image.tobytes() for image in cropped}) > 10
    flipped = np.asarray(data.AUGMENTATIONS["random_flip"](jax.random.key(0), ramp))
    allowed = {np.asarray(ramp[0]).tobytes(), np.asarray(ramp[0, :, ::-1]).tobytes()}
    assert {image.tobytes() for image in flipped} == allowed


def test_augmentations_in_a_row_get_keys_of_their_own():
    batch = images()
    key = jax.random.key(0)
    expected = data.AUGMENTATIONS["random_flip"](jax.random.fold_in(key, 0), batch)
    expected = data.AUGMENTATIONS["random_crop"](jax.random.fold_in(key, 1), expected)
    np.testing.assert_array_equal(data.augment(("random_flip", "random_crop"), key, batch), expected)
    np.testing.assert_array_equal(data.augment((), key, batch), batch)


@pytest.mark.parametrize("name", ["mnist", "cifar10"])
def test_standardisation(name):
    channels = {"mnist": 1, "cifar10": 3}[name]
    batch = images(channels=channels)
    normalized = np.asarray(data.NORMALIZATIONS[name](batch))
    for channel in range(channels):
        slope, offset = np.polyfit(np.ravel(batch[..., channel]), np.ravel(normalized[..., channel]), 1)
        assert slope > 1
        assert offset < 0


def test_bytes_become_fractions():
    np.testing.assert_allclose(data.as_unit_range(jnp.array([0, 51, 255], jnp.uint8)), [0, 0.2, 1], atol=1e-7)
    np.testing.assert_array_equal(data.as_unit_range(jnp.array([0.25])), [0.25])

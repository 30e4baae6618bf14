import jax.numpy as jnp
import numpy as np
import pytest
from scipy import ndimage

from experiments.data import rotate_images
from experiments.data._rotation import rotate_traced_images, rotate_uint8


@pytest.mark.parametrize("turns", range(4))
@pytest.mark.parametrize("size", [7, 8])
def test_quarter_turns_are_rot90(turns, size):
    images = np.random.default_rng(0).uniform(size=(2, size, size, 3)).astype(np.float32)
    angles = np.full(2, turns * np.pi / 2, np.float32)
    np.testing.assert_allclose(rotate_images(images, angles), np.rot90(images, turns, axes=(1, 2)), atol=1e-5)


def test_agrees_with_affine_transform_and_between_numpy_and_jax():
    generator = np.random.default_rng(1)
    images = generator.uniform(size=(5, 9, 12, 1)).astype(np.float32)
    angles = generator.uniform(0, 2 * np.pi, 5).astype(np.float32)
    turned = rotate_images(images, angles)
    centre = np.array([4.0, 5.5])
    for image, angle, result in zip(images, angles, turned, strict=True):
        back = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
        # grid-constant reads zeros outside and interpolates towards them.
        expected = ndimage.affine_transform(
            image[..., 0].astype(np.float64), back, centre - back @ centre, order=1, mode="grid-constant"
        )
        np.testing.assert_allclose(result[..., 0], expected, atol=2e-5)
    np.testing.assert_allclose(rotate_traced_images(jnp.asarray(images), jnp.asarray(angles)), turned, atol=1e-5)


def test_uint8_is_rounded_chunk_by_chunk():
    generator = np.random.default_rng(2)
    images = generator.integers(0, 256, (5, 8, 8, 1), np.uint8)
    angles = generator.uniform(0, 2 * np.pi, 5).astype(np.float32)
    expected = np.rint(rotate_images(images.astype(np.float32), angles)).astype(np.uint8)
    np.testing.assert_array_equal(rotate_uint8(images, angles, chunk=2), expected)

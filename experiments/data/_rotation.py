"""Rotation of images by any angle, bilinear, with zeros outside: for NumPy by SciPy, inside a traced function by JAX.

The rotation is counter-clockwise about the centre, so that a quarter turn is `np.rot90(image, 1)`. The value at a position
x of the result is read at R^-1 x of the image, where R is the rotation by the angle.
"""

import functools
from types import ModuleType
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from scipy import ndimage


def rotate_images(images: np.ndarray, angles: np.ndarray) -> np.ndarray:
    """Rotates each image by its own angle.

    Args:
      images: `[n, rows, columns, channels]`, floats.
      angles: `[n]`, radians.

    Returns:
      `[n, rows, columns, channels]`, of the dtype of the images.
    """
    rotated = np.empty_like(images)
    for image, angle, result in zip(images, angles, rotated, strict=True):
        positions = _source_positions(image.shape[:2], angle, np)
        for channel in range(image.shape[-1]):
            result[..., channel] = ndimage.map_coordinates(
                image[..., channel], positions, order=1, mode="grid-constant", output=images.dtype
            )
    return rotated


def rotate_traced_images(
    images: Float[Array, "batch rows columns channels"], angles: Float[Array, " batch"]
) -> Float[Array, "batch rows columns channels"]:
    """`rotate_images` as a JAX function, for use inside a training step."""

    def rotate(image: Array, angle: Array) -> Array:
        positions = _source_positions(image.shape[:2], angle, jnp)
        # With mode="constant" JAX interpolates towards the zeros outside, as SciPy does with "grid-constant".
        read = functools.partial(jax.scipy.ndimage.map_coordinates, coordinates=positions, order=1, mode="constant")
        return jax.vmap(read, in_axes=-1, out_axes=-1)(image)

    return jax.vmap(rotate)(images, angles.astype(images.dtype))


def rotate_uint8(images: np.ndarray, angles: np.ndarray, *, chunk: int = 4096) -> np.ndarray:
    """`rotate_images` of uint8 images, rounded, a chunk at a time to save memory."""
    rotated = np.empty_like(images)
    for start in range(0, len(images), chunk):
        part = slice(start, start + chunk)
        rotated[part] = np.rint(rotate_images(images[part].astype(np.float32), angles[part])).astype(np.uint8)
    return rotated


def _source_positions(shape: tuple[int, ...], angle: Any, xp: ModuleType) -> list[Any]:
    """The rows and columns at which an image is read, each `[rows, columns]`."""
    centre_row, centre_column = (shape[0] - 1) / 2, (shape[1] - 1) / 2
    row = (xp.arange(shape[0], dtype=angle.dtype) - centre_row)[:, None]
    column = (xp.arange(shape[1], dtype=angle.dtype) - centre_column)[None, :]
    # Rows grow downwards: counter-clockwise on screen maps (row, column) to (c row - s column, s row + c column).
    cosine, sine = xp.cos(angle), xp.sin(angle)
    return [cosine * row + sine * column + centre_row, -sine * row + cosine * column + centre_column]

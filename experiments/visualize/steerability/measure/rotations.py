"""One function, rotated in two ways: its samples are interpolated, or it is evaluated at rotated offsets."""

import dataclasses
from collections.abc import Callable, Iterable

import jax
import jax.numpy as jnp
import numpy as np

from experiments.visualize.seeding import random_streams
from experiments.visualize.steerability.measure.layers import attention, smooth_images
from gequi_jax.actions import inverse_act_on_positions, round_window, transform_kernel, window_offsets
from gequi_jax.functional import transformed_position_encodings
from gequi_jax.groups import cyclic_group

FINE_GROUP = cyclic_group(24)
ANGLES = (0, 15, 30, 45, 60, 75, 90)
Score = Callable[[jax.Array], jax.Array]


@dataclasses.dataclass(frozen=True)
class Rotation:
    """A rotated function as a kernel and as an encoding.

    Attributes:
      angle: in degrees, counter-clockwise.
      kernel: `[window, window]`, the samples at 0 degrees rotated by bilinear interpolation.
      encoding: `[window, window]`, the function at rotated offsets.
      function: `[fine, fine]`, the same on a fine grid up to the borders of the outermost pixels.
      kernel_error: |kernel - encoding| / |encoding|.
      kernel_error_in_disc: the same over the offsets of the round window.
      kernel_return_error: the relative error of the samples after the rotation and its inverse.
      encoding_return_error: the same of the function.
    """

    angle: int
    kernel: np.ndarray
    encoding: np.ndarray
    function: np.ndarray
    kernel_error: float
    kernel_error_in_disc: float
    kernel_return_error: float
    encoding_return_error: float


def rotations(window_size: int = 5, angles: Iterable[int] = ANGLES, seed: int = 0, fine: int = 60) -> list[Rotation]:
    """Rotates the positional part of an attention score, q . rho(x) / sqrt(d), as a kernel and as an encoding.

    Args:
      window_size: the side of the window.
      angles: multiples of 15 degrees.
      seed: of the attention layer; q is its first query at the centre of the first smooth image.
      fine: points a side of the fine grid.
    """
    score, window = _positional_score(window_size, seed), (window_size, window_size)
    encodings = _encodings(score, window)
    kernels = _interpolated(encodings[0])
    fine_offsets = inverse_act_on_positions(FINE_GROUP, window_offsets((fine, fine)) * (window_size / fine))
    fine_offsets = jnp.asarray(fine_offsets / ((window_size - 1) / 2), jnp.float32)
    disc = round_window(window).reshape(window)
    results = []
    for angle in angles:
        element = angle * FINE_GROUP.order // 360
        inverse = int(FINE_GROUP.inverses[element])
        kernel, encoding = kernels[element], encodings[element]
        results.append(
            Rotation(
                angle,
                np.asarray(kernel),
                np.asarray(encoding),
                np.asarray(score(fine_offsets[element]).reshape(fine, fine)),
                kernel_error=_relative_error(kernel, encoding),
                kernel_error_in_disc=_relative_error(kernel[disc], encoding[disc]),
                kernel_return_error=_relative_error(_interpolated(kernel)[inverse], encodings[0]),
                encoding_return_error=_relative_error(_rotated_back(score, window, inverse), encodings[0]),
            )
        )
    return results


def _positional_score(window_size: int, seed: int) -> Score:
    layer = attention(window_size, rngs=random_streams(seed))
    centre = window_size // 2
    query = layer.query(smooth_images(0, window_size)[:1])[0, centre, centre, 0]
    return lambda positions: (layer.position_encoding(positions) @ query / np.sqrt(query.size))[..., None]


def _encodings(score: Score, window: tuple[int, int]) -> jax.Array:
    values = transformed_position_encodings(score, group=FINE_GROUP, window_shape=window)
    return values[..., 0].reshape(-1, *window)


def _rotated_back(score: Score, window: tuple[int, int], inverse: int) -> jax.Array:
    """The function after the inverse of a rotation and that rotation, evaluated with both matrices."""
    matrix = jnp.asarray(FINE_GROUP.matrices[inverse].T, jnp.float32)
    return _encodings(lambda positions: score(positions @ matrix), window)[inverse]


def _interpolated(kernel: jax.Array) -> jax.Array:
    return transform_kernel(kernel[..., None, None], group=FINE_GROUP)[..., 0, 0]


def _relative_error(array: jax.Array, expected: jax.Array) -> float:
    return float(jnp.linalg.norm(array - expected) / jnp.linalg.norm(expected))

"""Convolution of few channels or of volumes in blocks of images, for a CPU.

The convolution of XLA takes longest where a filter has many entries and few channels, as in spatial attention, and where
it has three spatial axes. Here the windows along all axes but the first are the columns of a matrix. One product with the
filters gives the terms

    z_o(n, x, y_1) = sum_c sum_{y_2...} f_c(n, x_1, x_2 + d y_2 - p_2, ...) psi_co(y)

of every entry y_1 along the first axis, which are shifted and added up:

    y_o(n, x) = sum_{y_1} z_o(n, x_1 + d y_1 - p_1, ..., y_1)
"""

import functools
import math

import jax
import jax.numpy as jnp

from gequi_jax._typing import Array
from gequi_jax.functional._blocks import over_blocks
from gequi_jax.functional._filter_gradient import windows
from gequi_jax.functional._sampling import Sampling
from gequi_jax.functional._types import wide_type

_MOST_CHANNELS = 8
# The columns and the terms of a block, in bytes.
_BLOCK_BYTES = 2**20
# Those of a single volume, in bytes, up to which volumes of many channels are served.
_IMAGE_BYTES = 2**28


def is_faster_in_blocks(x_shape: tuple[int, ...], filters_shape: tuple[int, ...], sampling: Sampling) -> bool:
    """Whether `convolve_in_blocks` serves these shapes: stride 1, not empty, not symbolic; few channels or a small volume.

    Args:
      x_shape: `[batch, *spatial, in_channels]`.
      filters_shape: `[*window, in_channels, out_channels]`.
      sampling: strides, padding and dilation.
    """
    if not all(isinstance(size, int) and size > 0 for size in (*x_shape, *filters_shape)):
        return False
    no_crop = all(pad >= 0 for pads in sampling.pads for pad in pads)
    has_window = min(filters_shape[:-2]) > 1
    if sampling.strides != 1 or not no_crop or not has_window:
        return False
    is_volume = len(filters_shape) == 5
    fits = (
        is_volume
        and _image_bytes(_out_shape(x_shape, filters_shape, sampling), filters_shape, sampling, 4) <= _IMAGE_BYTES
    )
    return fits or max(filters_shape[-2:]) <= _MOST_CHANNELS


def convolve_in_blocks(x: Array, filters: Array, sampling: Sampling, precision: jax.lax.PrecisionLike) -> Array:
    """The convolution `[batch, *out_spatial, out_channels]`, summed up in float32 or wider.

    Args:
      x: `[batch, *spatial, in_channels]`.
      filters: `[*window, in_channels, out_channels]`.
      sampling: strides, padding and dilation; the stride is 1.
      precision: of the products.
    """
    side, *_, out_channels = filters.shape
    window_shape, dilation = filters.shape[:-2], sampling.kernel_dilation
    out_shape = _out_shape(x.shape, filters.shape, sampling)
    bank = jnp.moveaxis(filters, 0, -2).reshape(-1, side * out_channels)
    wide = wide_type(x)

    def one_block(images):
        rows = jnp.pad(images, ((0, 0), sampling.pads[0], *((0, 0),) * (images.ndim - 2)))
        columns = windows(rows, window_shape, out_shape, sampling, first=1)
        terms = jnp.matmul(columns, bank, precision=precision, preferred_element_type=wide)
        shifted = (
            terms[:, dilation * y : dilation * y + out_shape[0], ..., out_channels * y : out_channels * (y + 1)]
            for y in range(side)
        )
        return None, functools.reduce(jnp.add, shifted).astype(x.dtype)

    image_bytes = _image_bytes(out_shape, filters.shape, sampling, x.dtype.itemsize)
    return over_blocks(one_block, x, size=max(1, _BLOCK_BYTES // image_bytes))[1]


def _out_shape(x_shape: tuple[int, ...], filters_shape: tuple[int, ...], sampling: Sampling) -> tuple[int, ...]:
    """The number of output positions along every axis, at stride 1."""
    sizes = zip(x_shape[1:-1], sampling.pads, filters_shape[:-2], strict=True)
    return tuple(size + sum(pads) - sampling.kernel_dilation * (side - 1) for size, pads, side in sizes)


def _image_bytes(out_shape: tuple[int, ...], filters_shape: tuple[int, ...], sampling: Sampling, itemsize: int) -> int:
    """The bytes of the columns and the terms of one image."""
    side, *others, in_channels, out_channels = filters_shape
    width = math.prod(others) * in_channels + side * out_channels
    return (out_shape[0] + sampling.kernel_dilation * (side - 1)) * math.prod(out_shape[1:]) * width * itemsize

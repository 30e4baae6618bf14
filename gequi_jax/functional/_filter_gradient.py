"""The gradient of the filters of a convolution, in blocks of images whose windows stay in cache.

    dpsi(y, c, o) = sum_n sum_x f_c(n, s x + d y - p) g_o(n, x)

for stride s, dilation d and padding p. The windows of a block are the columns of a matrix, and the gradient of the filters
is the sum over all blocks of its product with the output gradient g. At stride 1 the first axis of the window is moved to
the other side where that makes the matrices smaller: with z = x + d y_1 - p_1 along the first axis,

    dpsi(y, c, o) = sum_n sum_z f_c(n, z, ...) g_o(n, z - d y_1 + p_1, ...).
"""

import itertools
import math

import jax
import jax.numpy as jnp

from gequi_jax._typing import Array
from gequi_jax.functional._blocks import over_blocks
from gequi_jax.functional._sampling import Sampling
from gequi_jax.functional._types import wide_type

# The two matrices of a block, in bytes.
_BLOCK_BYTES = 2**21
# The two matrices of a single image, in bytes, up to which blocks are used.
_IMAGE_BYTES = 2**26


def fits_in_blocks(x: Array, out_gradient: Array, window_shape: tuple[int, ...], sampling: Sampling) -> bool:
    """Whether `blocked_filter_gradient` serves these shapes: not empty, not symbolic, and not too large.

    Args:
      x: `[batch, *spatial, in_channels]`.
      out_gradient: `[batch, *out_spatial, out_channels]`.
      window_shape: the sides of the filters.
      sampling: strides, padding and dilation.
    """
    if not all(isinstance(size, int) and size > 0 for size in (*x.shape, *out_gradient.shape, *window_shape)):
        return False
    return min(_image_bytes(x, out_gradient, window_shape, sampling)) <= _IMAGE_BYTES


def blocked_filter_gradient(
    x: Array,
    out_gradient: Array,
    window_shape: tuple[int, ...],
    sampling: Sampling,
    precision: jax.lax.PrecisionLike,
) -> Array:
    """The gradient of the filters `[*window, in_channels, out_channels]`, summed up in float32 or wider.

    Args:
      x: `[batch, *spatial, in_channels]`.
      out_gradient: `[batch, *out_spatial, out_channels]`.
      window_shape: the sides of the filters.
      sampling: strides, padding and dilation.
      precision: of the products.
    """
    image_bytes = _image_bytes(x, out_gradient, window_shape, sampling)
    # The number of window axes on the side of the output gradient.
    moved = image_bytes.index(min(image_bytes))
    wide = wide_type(x)

    def one_block(images, gradients):
        columns = windows(images, window_shape, gradients.shape[1:-1], sampling, moved)
        if moved:
            gradients = _shifted(gradients, window_shape[0], images.shape[1], sampling)
        left, right = (array.reshape(-1, array.shape[-1]) for array in (columns, gradients))
        contracted = (((0,), (0,)), ((), ()))
        product = jax.lax.dot_general(left, right, contracted, precision=precision, preferred_element_type=wide)
        return product, None

    size = max(1, _BLOCK_BYTES // min(image_bytes))
    product, _ = over_blocks(one_block, x, out_gradient, size=size)
    shape = (*window_shape[moved:], x.shape[-1], *window_shape[:moved], out_gradient.shape[-1])
    product = product.reshape(shape).astype(x.dtype)
    return jnp.moveaxis(product, -2, 0) if moved else product


def windows(
    x: Array, window_shape: tuple[int, ...], out_shape: tuple[int, ...], sampling: Sampling, first: int
) -> Array:
    """The windows of every output position along the spatial axes from `first` on, `[..., (offset, channel)]`.

    Args:
      x: `[batch, *spatial, channels]`.
      window_shape: the sides of the filters.
      out_shape: the number of output positions along every axis.
      sampling: strides, padding and dilation.
      first: the axes before this one, of the spatial axes, stay as they are.
    """
    strides, pads, dilation = sampling
    padded = jnp.pad(x, ((0, 0), *((0, 0),) * first, *pads[first:], (0, 0)))
    parts = []
    for offset in itertools.product(*map(range, window_shape[first:])):
        starts = [dilation * step for step in offset]
        stops = [start + strides * (size - 1) + 1 for start, size in zip(starts, out_shape[first:], strict=True)]
        inner = (slice(start, stop, strides) for start, stop in zip(starts, stops, strict=True))
        parts.append(padded[(slice(None),) * (1 + first) + tuple(inner)])
    return jnp.concatenate(parts, axis=-1)


def _shifted(out_gradient: Array, side: int, size: int, sampling: Sampling) -> Array:
    """The output gradient read from `size` positions of the first axis of x, `[..., (offset, channel)]`, at stride 1."""
    zero = jnp.zeros((), out_gradient.dtype)
    shifted = []
    for offset in range(side):
        before = sampling.kernel_dilation * offset - sampling.pads[0][0]
        after = size - before - out_gradient.shape[1]
        config = ((0, 0, 0), (before, after, 0), *((0, 0, 0),) * (out_gradient.ndim - 2))
        shifted.append(jax.lax.pad(out_gradient, zero, config))
    return jnp.concatenate(shifted, axis=-1)


def _image_bytes(x: Array, out_gradient: Array, window_shape: tuple[int, ...], sampling: Sampling) -> list[int]:
    """The bytes of the matrices of one image, with no and with one window axis on the side of the output gradient."""
    in_channels, out_channels, out_shape = x.shape[-1], out_gradient.shape[-1], out_gradient.shape[1:-1]
    positions = math.prod(out_shape)
    sizes = [positions * (math.prod(window_shape) * in_channels + out_channels)]
    if sampling.strides == 1:
        positions = x.shape[1] * math.prod(out_shape[1:])
        sizes.append(positions * (math.prod(window_shape[1:]) * in_channels + window_shape[0] * out_channels))
    return [size * x.dtype.itemsize for size in sizes]

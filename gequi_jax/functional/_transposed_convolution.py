"""Transposed convolution as a convolution of stride 1, with the positions within a stride as channels.

    y_o(s q + v - p) = sum_c sum_u f_c(q - u) psi_co(s u + v)

for stride s, padding p, positions q on the grid of the input and 0 <= v < s along each axis. XLA computes transposed
convolutions over an input with zeros between its positions, which takes s^dim times as many products, and on a CPU far
longer than that.
"""

import jax
import jax.numpy as jnp

from gequi_jax._typing import Array, Float
from gequi_jax.functional._convolution import convolve
from gequi_jax.functional._sampling import Sampling


def transposed_convolution(
    x: Float[Array, "batch *spatial in_channels"],
    filters: Float[Array, "*window in_channels out_channels"],
    out_shape: tuple[int, ...],
    sampling: Sampling,
    *,
    precision: jax.lax.PrecisionLike = None,
) -> Float[Array, "batch *out_spatial out_channels"]:
    """The adjoint of `convolve` with the same sampling and the axes of channels of the filters exchanged.

        y_o(z) = sum_c sum_x sum_t f_c(x) psi_co(t) where z = s x + d t - p

    for stride s, dilation d and padding p.

    Args:
      x: the input f, on 1, 2 or 3 spatial axes.
      filters: the filters psi.
      out_shape: the sides of the output.
      sampling: strides, padding and dilation of the convolution of which this is the adjoint.
      precision: as in `jax.lax.conv_general_dilated`.
    """
    strides, dim = sampling.strides, len(out_shape)
    bank = _split_filters(filters, sampling)  # [*window, in_channels, within * out_channels]
    before = [pad for pad, _ in sampling.pads]
    # The positions q of the output, from the first to the last along each axis, and more where the output is cropped.
    firsts = [min(pad // strides, side - 1) for pad, side in zip(before, bank.shape, strict=False)]
    pads = tuple(
        (side - 1 - first, max((pad + size - 1) // strides - (length - 1), 0))
        for side, first, pad, size, length in zip(bank.shape, firsts, before, out_shape, x.shape[1:], strict=False)
    )
    y = convolve(x, bank, Sampling(1, pads, 1), precision=precision)
    sides = y.shape[1:-1]
    y = y.reshape(y.shape[0], *sides, *(strides,) * dim, -1)
    order = [axis for index in range(dim) for axis in (1 + index, 1 + dim + index)]
    y = y.transpose(0, *order, y.ndim - 1).reshape(y.shape[0], *(strides * side for side in sides), -1)
    starts = [pad - strides * first for pad, first in zip(before, firsts, strict=True)]
    inner = tuple(slice(start, start + size) for start, size in zip(starts, out_shape, strict=True))
    return y[(slice(None), *inner)]


def _split_filters(filters: Array, sampling: Sampling) -> Array:
    """psi(s u + v) with v among the output channels and u reversed, since a convolution reads f(q + u)."""
    strides, dilation = sampling.strides, sampling.kernel_dilation
    dim = filters.ndim - 2
    spans = [dilation * (side - 1) + 1 for side in filters.shape[:dim]]
    zeros = [(0, -span % strides, dilation - 1) for span in spans]
    padded = jax.lax.pad(filters, jnp.zeros((), filters.dtype), [*zeros, (0, 0, 0), (0, 0, 0)])
    split = [size for side in padded.shape[:dim] for size in (side // strides, strides)]
    split = padded.reshape(*split, *filters.shape[dim:])
    outer, within = range(0, 2 * dim, 2), range(1, 2 * dim, 2)
    bank = split.transpose(*outer, 2 * dim, *within, 2 * dim + 1)
    return jnp.flip(bank, range(dim)).reshape(*bank.shape[: dim + 1], -1)

"""A strided convolution of few channels as one of stride 1, with the positions within a stride as channels.

    y_o(x) = sum_c sum_y f_c(s x + y - p) psi_co(y) = sum_c sum_v sum_u F_cv(x + u) Psi_cvo(u)

for stride s, padding p and y = s u + v, with F_cv(x) = f_c(s x + v - p) and Psi_cvo(u) = psi_co(s u + v). XLA computes the
gradient of the input of a strided convolution over an input with zeros between its positions, which on a CPU takes hundreds
of times as long as the convolution.
"""

import jax.numpy as jnp

from gequi_jax._typing import Array
from gequi_jax.functional._sampling import Sampling

_MOST_CHANNELS = 8


def is_strided_stem(x_shape: tuple[int, ...], window_shape: tuple[int, ...], sampling: Sampling) -> bool:
    """Whether `space_to_depth` serves these shapes: a stride that divides the window, and few channels.

    Args:
      x_shape: `[batch, *spatial, in_channels]`.
      window_shape: the sides of the filters.
      sampling: strides, padding and dilation.
    """
    divides = all(side % sampling.strides == 0 for side in window_shape)
    no_crop = all(pad >= 0 for pads in sampling.pads for pad in pads)
    return (
        sampling.strides > 1 and sampling.kernel_dilation == 1 and divides and no_crop and x_shape[-1] <= _MOST_CHANNELS
    )


def space_to_depth(x: Array, filters: Array, sampling: Sampling) -> tuple[Array, Array, Sampling]:
    """The operands and the sampling of the convolution of stride 1.

    Args:
      x: `[batch, *spatial, in_channels]`.
      filters: `[*window, in_channels, out_channels]`.
      sampling: strides, padding and dilation.
    """
    stride, pads, _ = sampling
    window_shape = filters.shape[:-2]
    margins, sizes = [(0, 0)], []
    for size, side, (before, after) in zip(x.shape[1:-1], window_shape, pads, strict=True):
        steps = (size + before + after - side) // stride
        sizes.append(stride * steps + side)
        margins.append((before, max(0, sizes[-1] - size - before)))
    padded = jnp.pad(x, [*margins, (0, 0)])[(slice(None), *map(slice, sizes))]
    depth = _to_depth(padded, stride, first=1)
    bank = _to_depth(filters, stride, first=0)
    return depth, bank, Sampling(1, ((0, 0),) * len(sizes), 1)


def _to_depth(array: Array, stride: int, *, first: int) -> Array:
    """The positions within a stride as channels: of x `[batch, *spatial, c]`, of filters `[*window, c, o]`."""
    dim = array.ndim - 2
    before, spatial, after = array.shape[:first], array.shape[first : first + dim], array.shape[first + dim :]
    split = array.reshape(*before, *(part for size in spatial for part in (size // stride, stride)), *after)
    outer = range(first, first + 2 * dim, 2)
    inner = range(first + 1, first + 2 * dim, 2)
    moved = split.transpose(*range(first), *outer, *inner, *range(first + 2 * dim, split.ndim))
    channels = stride**dim * after[0]
    return moved.reshape(*before, *(size // stride for size in spatial), channels, *after[1:])

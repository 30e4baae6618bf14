"""Correlation of every channel with a filter of its own, as a sum of shifted copies.

`jax.lax.conv_general_dilated` with as many groups as channels does the same, but its gradients on a CPU are slower by two
orders of magnitude.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from gequi_jax._typing import Array, Float
from gequi_jax.functional._platform import by_platform

# Up to so many shifted copies are written out, which XLA compiles to one loop over the output; more are added in a scan.
# On a CPU, writing them out saves no time and takes twice the memory in the backward pass.
WRITTEN_OUT = {"cpu": 1, "default": 16}


class Sampling(NamedTuple):
    """Where a filter reads a signal.

    Attributes:
      strides: the step between output positions.
      pads: zeros before and after each spatial axis.
      kernel_dilation: the step between neighbouring filter entries.
    """

    strides: int
    pads: tuple[tuple[int, int], ...]
    kernel_dilation: int


def correlate_each(
    x: Float[Array, "batch *rest"], filters: Float[Array, "*window_and_rest"], sampling: Sampling
) -> Array:
    """The sum of shifted copies of a signal, each times one entry of the filters.

        y(x, ...) = sum_j f(s x + d j, ...) psi(j, ...)

    with stride s and dilation d. Axes after the window broadcast, so that one channel can meet several filters.

    Args:
      x: `[batch, *spatial, *rest]`.
      filters: `[*window, *rest]`.
      sampling: strides, padding and dilation.

    Returns:
      `[batch, *out_spatial, *rest]`.
    """
    return by_platform(functools.partial(correlate_each_by, sampling=sampling), x, filters, **WRITTEN_OUT)


def correlate_each_by(written_out: int, x: Array, filters: Array, *, sampling: Sampling) -> Array:
    """`correlate_each` with at most so many shifted copies written out."""
    strides, pads, kernel_dilation = sampling
    dim = len(pads)
    window_shape = filters.shape[:dim]
    x = jnp.pad(x, ((0, 0), *pads, *((0, 0),) * (x.ndim - 1 - dim)))
    spans = [(side - 1) * kernel_dilation + 1 for side in window_shape]
    reach = [size - span + 1 for size, span in zip(x.shape[1 : 1 + dim], spans, strict=True)]
    offsets = np.stack(np.meshgrid(*map(np.arange, window_shape), indexing="ij"), -1).reshape(-1, dim) * kernel_dilation
    taps = filters.reshape(len(offsets), *(1,) * (1 + dim), *filters.shape[dim:])
    every = (slice(None), *(slice(None, None, strides),) * dim)

    def shifted(offset) -> Array:
        starts = (0, *offset, *(0,) * (x.ndim - 1 - dim))
        return jax.lax.dynamic_slice(x, starts, (x.shape[0], *reach, *x.shape[1 + dim :]))[every]

    # Types of 16 bits are summed in float32 and rounded once, as in any other convolution.
    wide = x.dtype if jnp.finfo(x.dtype).bits >= 32 else jnp.float32

    def term(offset, tap) -> Array:
        return shifted(offset).astype(wide) * tap.astype(wide)

    if len(offsets) <= written_out:
        first, *others = (term(tuple(map(int, offset)), tap) for offset, tap in zip(offsets, taps, strict=True))
        return sum(others, start=first).astype(x.dtype)

    def add(total, offset_and_tap):
        offset, tap = offset_and_tap
        return total + term(tuple(offset), tap), None

    like = jax.eval_shape(lambda tap: term((0,) * dim, tap), taps[0])
    total, _ = jax.lax.scan(add, jnp.zeros(like.shape, like.dtype), (jnp.asarray(offsets), taps))
    return total.astype(x.dtype)

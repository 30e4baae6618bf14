"""Attention to responses, streamed on a CPU: one sample and one input pose at a time, so that the responses stay in cache.

The maps of channel and spatial attention (Eqs. 17 to 19) of different input poses are independent of each other, and the
responses of one sample and one input pose to all filters are a matrix product. The backward pass recomputes them. The
form in `_responses.py` serves other operators and other platforms.
"""

import functools
import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from gequi_jax._typing import Array, FeatureMap, Float, OutFeatureMap
from gequi_jax.actions import transform_group_kernel, transform_kernel
from gequi_jax.functional._types import wide_type
from gequi_jax.functional.attentive_conv._attention_maps import regular_action
from gequi_jax.functional.attentive_conv._operators import ResponseAttention
from gequi_jax.functional.attentive_conv._shifts import Sampling
from gequi_jax.functional.attentive_conv._streamed_stages import (
    Layer,
    Sizes,
    attended_sum,
    attended_sum_gradient,
    sum_of_windows,
    windows,
)
from gequi_jax.groups import FiniteGroup

# The responses of one sample and one input pose to a block of output channels, in bytes.
_BLOCK_BYTES = 2**21


def streamed_conv(
    x: FeatureMap,
    bank: Float[Array, "out_group *window in_poses in_features out_features"],
    attention: ResponseAttention,
    sampling: Sampling,
    *,
    group: FiniteGroup,
    residual: bool,
) -> OutFeatureMap:
    """The sums of modulated responses over input channels and poses (Eq. 16).

    Args:
      x: `[batch, *spatial, in_poses, in_features]`.
      bank: the transformed filters.
      attention: the parameters of the maps.
      sampling: strides, padding and dilation.
      group: the group H.
      residual: multiply by 1 - alpha; otherwise by alpha.
    """
    window_shape = bank.shape[1 : 1 + group.dim]
    sizes = Sizes(window_shape, sampling, _out_shape(x, window_shape, sampling), attention.kernel_dilation, residual)
    blocks = _blocks(_transformed(bank, attention, group), _num_blocks(x, bank, sizes))
    wide = wide_type(x)
    stream = functools.partial(_stream, sizes, x.astype(wide))
    y = _map(
        stream, jax.tree.map(lambda leaf: leaf.astype(wide), blocks)
    )  # [block, batch, positions, (group, channels)]
    y = jnp.moveaxis(y.reshape(*y.shape[:2], *sizes.out_shape, group.order, -1), 0, -2)
    return y.reshape(*y.shape[:-2], -1).astype(x.dtype)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _stream(sizes: Sizes, x: Array, layer: Layer) -> Array:
    """The output `[batch, x, q]` for feature maps `[batch, *spatial, m, c]` and a layer with input poses first."""

    def one_sample(sample: Array) -> Array:
        def add_pose(total, w_and_layer):
            return total + attended_sum(*w_and_layer, sizes), None

        start = jnp.zeros((math.prod(sizes.out_shape), layer.kernel.shape[-1]), x.dtype)
        return lax.scan(add_pose, start, (windows(sample, sizes), layer))[0]

    return _map(one_sample, x)


def _stream_forward(sizes: Sizes, x: Array, layer: Layer) -> tuple[Array, tuple[Array, Layer]]:
    return _stream(sizes, x, layer), (x, layer)


def _stream_backward(sizes: Sizes, residuals: tuple[Array, Layer], out_gradient: Array) -> tuple[Array, Layer]:
    x, layer = residuals

    def one_sample(total, sample_and_gradient):
        sample, gradient = sample_and_gradient

        def one_pose(_, w_and_layer):
            return None, attended_sum_gradient(*w_and_layer, gradient, sizes)

        _, (to_windows, to_layer) = lax.scan(one_pose, None, (windows(sample, sizes), layer))
        to_sample = sum_of_windows(to_windows, sizes, sample.shape[: len(sizes.out_shape)])
        return jax.tree.map(jnp.add, total, to_layer), to_sample

    to_layer, to_x = lax.scan(one_sample, jax.tree.map(jnp.zeros_like, layer), (x, out_gradient))
    return to_x, to_layer


_stream.defvjp(_stream_forward, _stream_backward)


def _map(function: Callable[[Any], Array], xs: Any) -> Array:
    """`jax.lax.map`, without a loop for one entry."""
    if len(jax.tree.leaves(xs)[0]) == 1:
        return function(jax.tree.map(lambda leaf: leaf[0], xs))[None]
    return lax.map(function, xs)


def _transformed(bank: Array, attention: ResponseAttention, group: FiniteGroup) -> Layer:
    """The parameters of every input pose, with neighbouring axes (h, o) of output poses and channels in place of q."""
    on_group = bank.shape[-3] == group.order
    kernel = jnp.moveaxis(bank, (-3, -2, 0), (0, 1, -2))  # [m, c, *window, h, o]
    channel = spatial = None
    if attention.channel is not None:
        index = regular_action(group) if on_group else [[0]] * group.order
        seen = (jnp.take(weights, jnp.asarray(index), axis=1) for weights in attention.channel)  # [o, h, m, ...]
        w1, w2 = (jnp.moveaxis(weights, (2, 1, 0), (0, 1, 2)) for weights in seen)
        channel = (w1, w2)
    if attention.spatial is not None:
        psi = jnp.moveaxis(attention.spatial, 0, -1)  # [*window, m, s, o]
        if on_group:
            moved = transform_group_kernel(psi, group=group)
        else:
            moved = transform_kernel(psi[..., 0, :, :], group=group)[..., None, :, :]
        spatial = jnp.moveaxis(moved, (-3, 0), (0, -2))  # [m, *window, s, h, o]
    return Layer(kernel.reshape(*kernel.shape[:2], -1, *kernel.shape[-2:]), channel, spatial)


def _blocks(layer: Layer, num_blocks: int) -> Layer:
    """The layer in blocks of output channels, `[block, m, ...]`, with q for (h, o)."""

    def block(array: Array, axis: int) -> Array:
        *before, poses, channels = array.shape[: axis + 2]
        after = array.shape[axis + 2 :]
        split = array.reshape(*before, poses, num_blocks, channels // num_blocks, *after)
        return jnp.moveaxis(split, axis + 1, 0).reshape(num_blocks, *before, -1, *after)

    channel = None if layer.channel is None else tuple(block(weights, 1) for weights in layer.channel)
    spatial = None if layer.spatial is None else block(layer.spatial, layer.spatial.ndim - 2)
    return Layer(block(layer.kernel, 3), channel, spatial)


def _num_blocks(x: Array, bank: Array, sizes: Sizes) -> int:
    out_features = bank.shape[-1]
    itemsize = wide_type(x).itemsize
    one_channel = x.shape[-1] * math.prod(sizes.out_shape) * len(bank) * itemsize
    return next(
        blocks
        for blocks in range(1, out_features + 1)
        if out_features % blocks == 0
        and (out_features // blocks * one_channel <= _BLOCK_BYTES or blocks == out_features)
    )


def _out_shape(x: Array, window_shape: tuple[int, ...], sampling: Sampling) -> tuple[int, ...]:
    spans = [(side - 1) * sampling.kernel_dilation + 1 for side in window_shape]
    sizes = zip(x.shape[1:], sampling.pads, spans, strict=False)
    return tuple((size + sum(pads) - span) // sampling.strides + 1 for size, pads, span in sizes)

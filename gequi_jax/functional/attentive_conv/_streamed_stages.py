"""The arithmetic of streamed attention to responses, for one sample and one input pose, forward and backward.

Axes: c input channels, j offsets of the kernel, x output positions, q = (h, o) output poses and channels, r hidden units
of channel attention, s statistics (mean, maximum) of spatial attention. With the windows W_c(x, j) of the input and the
kernel K_c(j):

    t_c = W_c K_c                                        the responses
    A_c = sigmoid( sum_s W2 relu( W1 s_x(t_c) ) )        channel attention, of statistics over positions
    u_c = A_c t_c
    S   = sigmoid( psi * [mean_c u_c, max_c u_c] )       spatial attention, of statistics over channels
    y   = sum_c t_c - S sum_c u_c

q is the last axis of every array, which makes all sums over other axes vector instructions.
"""

import dataclasses
import functools
import operator
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from gequi_jax._typing import Array
from gequi_jax.functional._sampling import Sampling


class Layer(NamedTuple):
    """The parameters of a layer for one input pose, transformed for every output pose and channel.

    Attributes:
      kernel: K, `[c, j, q]`.
      channel: W1 `[q, c, r]` and W2 `[q, r, c]`, or None without channel attention.
      spatial: psi, `[*window, s, q]`, or None without spatial attention.
    """

    kernel: Array
    channel: tuple[Array, Array] | None
    spatial: Array | None


@dataclasses.dataclass(frozen=True)
class Sizes:
    """The static sizes of a layer.

    Attributes:
      window_shape: of the kernel.
      sampling: strides, padding and dilation of the convolution.
      out_shape: the spatial shape of the output.
      attention_dilation: the dilation of the filter of spatial attention.
      residual: whether responses are multiplied by 1 - alpha, or by alpha.
    """

    window_shape: tuple[int, ...]
    sampling: Sampling
    out_shape: tuple[int, ...]
    attention_dilation: int
    residual: bool


class _Forward(NamedTuple):
    """What the backward pass needs of the forward pass: t, its statistics over positions, A, u's sums and S."""

    responses: Array  # [c, x, q]
    pooled: tuple[Array, Array]  # mean and maximum, [c, q]
    channel: Array | None  # [c, 1, q]
    statistics: tuple[Array, Array]  # mean and maximum of u over channels, [x, q]
    spatial: Array  # [x, q]


def windows(x: Array, sizes: Sizes) -> Array:
    """The windows `[m, c, j, x]` of one sample `[*spatial, m, c]`."""
    x = jnp.moveaxis(x, (-2, -1), (0, 1))
    x = jnp.pad(x, ((0, 0), (0, 0), *sizes.sampling.pads))
    slices = [
        lax.slice(
            x,
            (0, 0, *offset),
            (
                *x.shape[:2],
                *(o + (n - 1) * sizes.sampling.strides + 1 for o, n in zip(offset, sizes.out_shape, strict=True)),
            ),
            (1, 1, *(sizes.sampling.strides,) * len(offset)),
        )
        for offset in _offsets(sizes)
    ]
    return jnp.stack(slices, axis=2).reshape(*x.shape[:2], len(slices), -1)


def sum_of_windows(w: Array, sizes: Sizes, spatial_shape: Sequence[int]) -> Array:
    """The transpose of `windows`: one sample `[*spatial, m, c]` from `[m, c, j, x]`."""
    w = w.reshape(*w.shape[:3], *sizes.out_shape)
    padded = [size + before + after for size, (before, after) in zip(spatial_shape, sizes.sampling.pads, strict=True)]
    total = jnp.zeros((*w.shape[:2], *padded), w.dtype)
    for index, offset in enumerate(_offsets(sizes)):
        pads = [
            (o, size - o - (n - 1) * sizes.sampling.strides - 1, sizes.sampling.strides - 1)
            for o, n, size in zip(offset, sizes.out_shape, padded, strict=True)
        ]
        total += lax.pad(w[:, :, index], jnp.zeros((), w.dtype), ((0, 0, 0), (0, 0, 0), *pads))
    inner = [slice(before, before + size) for size, (before, _) in zip(spatial_shape, sizes.sampling.pads, strict=True)]
    return jnp.moveaxis(total[(slice(None), slice(None), *inner)], (0, 1), (-2, -1))


def attended_sum(w: Array, layer: Layer, sizes: Sizes) -> Array:
    """y, `[x, q]`, from the windows `[c, j, x]` of one input pose."""
    forward = _forward(w, layer, sizes)
    attended = forward.spatial * (forward.statistics[0] * len(w))
    return _sum(forward.responses) - attended if sizes.residual else attended


def attended_sum_gradient(w: Array, layer: Layer, out_gradient: Array, sizes: Sizes) -> tuple[Array, Layer]:
    """The gradients of the windows and of the layer, from the gradient `[x, q]` of y. The forward pass is made again."""
    forward = _forward(w, layer, sizes)
    signed = -out_gradient if sizes.residual else out_gradient
    to_attended, to_spatial = _through_spatial(forward, layer.spatial, signed, sizes)
    to_responses, to_channel = to_attended, None
    if layer.channel is not None:
        to_responses, to_channel = _through_channel(forward, layer.channel, to_attended)
    if sizes.residual:
        to_responses += out_gradient[None]
    to_windows = _products("cjq,cxq->cjx", layer.kernel, to_responses)
    return to_windows, Layer(_products("cjx,cxq->cjq", w, to_responses), to_channel, to_spatial)


def _forward(w: Array, layer: Layer, sizes: Sizes) -> _Forward:
    responses = _products("cjx,cjq->cxq", w, layer.kernel)
    pooled = _products("cj,cjq->cq", w.mean(axis=2), layer.kernel), responses.max(axis=1)
    channel = None if layer.channel is None else _channel_attention(*pooled, *layer.channel)[:, None]
    attended = responses if channel is None else [a * t for a, t in zip(channel, responses, strict=True)]
    statistics = _sum(attended) / len(w), functools.reduce(jnp.maximum, attended)
    if layer.spatial is None:
        spatial = jnp.ones((), w.dtype)
    else:
        spatial = jax.nn.sigmoid(_correlate(jnp.stack(statistics, axis=1), layer.spatial, sizes))
    return _Forward(responses, pooled, channel, statistics, spatial)


def _attended_responses(forward: _Forward) -> Array:
    return forward.responses if forward.channel is None else forward.channel * forward.responses


def _channel_attention(mean: Array, largest: Array, w1: Array, w2: Array) -> Array:
    """A, `[c, q]`."""
    hidden = (jax.nn.relu(jnp.einsum("cq,qcr->qr", pooled, w1)) for pooled in (mean, largest))
    return jax.nn.sigmoid(_sum(jnp.einsum("qr,qrc->cq", units, w2) for units in hidden))


def _through_channel(forward: _Forward, layers: tuple[Array, Array], to_attended: Array):
    """The gradients of the responses and of both layers, from that of u."""
    assert forward.channel is not None, "the layer has channel attention"
    _, transpose = jax.vjp(_channel_attention, *forward.pooled, *layers)
    to_mean, to_max, *to_layers = transpose((forward.responses * to_attended).sum(axis=1))
    responses = forward.responses
    to_mean = to_mean[:, None] / responses.shape[1]
    from_max = _shared(
        responses >= forward.pooled[1][:, None], to_max[:, None], lambda is_max: is_max.sum(1, keepdims=True)
    )
    return forward.channel * to_attended + to_mean + from_max, tuple(to_layers)


def _through_spatial(forward: _Forward, psi: Array | None, signed: Array, sizes: Sizes):
    """The gradients of u and of psi, from that of S sum_c u_c."""
    mean, largest = forward.statistics
    channels = len(forward.responses)
    to_sum = signed * forward.spatial
    if psi is None:
        return jnp.broadcast_to(to_sum[None], forward.responses.shape), None
    to_scores = to_sum * (mean * channels) * (1 - forward.spatial)
    from_mean, from_max = jnp.moveaxis(_correlate_transpose(to_scores, psi, sizes), 1, 0)
    from_max = _shared(_attended_responses(forward) >= largest[None], from_max[None], lambda is_max: _sum(is_max)[None])
    to_attended = (to_sum + from_mean / channels)[None] + from_max
    return to_attended, _correlate_gradient(jnp.stack(forward.statistics, axis=1), to_scores, psi, sizes)


def _shared(is_max: Array, gradient: Array, total: Callable[[Array], Array]) -> Array:
    """The gradient of a maximum, shared alike by all entries that are the largest."""
    return jnp.where(is_max, gradient / total(is_max.astype(gradient.dtype)), 0.0)


def _correlate(statistics: Array, psi: Array, sizes: Sizes) -> Array:
    """psi * statistics, `[x, q]` from `[x, s, q]`: a loop over the first axis of psi, the others written out."""
    padded = _padded(statistics, psi, sizes)

    def add_row(total, row_and_taps):
        row, taps = row_and_taps
        part = _rows(padded, row, sizes)
        taps = _on_positions(taps, sizes)
        return total + _sum(
            _sum(_shifted(part, offset, sizes)[..., s, :] * taps[offset][..., s, :] for s in range(taps.shape[-2]))
            for offset in _inner_offsets(psi, sizes)
        ), None

    start = jnp.zeros((*sizes.out_shape, statistics.shape[-1]), statistics.dtype)
    return lax.scan(add_row, start, (jnp.arange(len(psi)), psi))[0].reshape(-1, statistics.shape[-1])


def _correlate_transpose(gradient: Array, psi: Array, sizes: Sizes) -> Array:
    """The gradient `[x, s, q]` of the statistics: the correlation with the reversed filter."""
    reversed_psi = jnp.flip(psi, axis=tuple(range(psi.ndim - 2)))
    padded = _padded(gradient[:, None], psi, sizes)

    def add_row(total, row_and_taps):
        row, taps = row_and_taps
        part = _rows(padded, row, sizes)
        taps = _on_positions(taps, sizes)
        return total + _sum(_shifted(part, o, sizes) * taps[o] for o in _inner_offsets(psi, sizes)), None

    start = jnp.zeros((*sizes.out_shape, *psi.shape[-2:]), gradient.dtype)
    total = lax.scan(add_row, start, (jnp.arange(len(psi)), reversed_psi))[0]
    return total.reshape(len(gradient), *psi.shape[-2:])


def _correlate_gradient(statistics: Array, gradient: Array, psi: Array, sizes: Sizes) -> Array:
    """The gradient `[*window, s, q]` of psi."""
    padded = _padded(statistics, psi, sizes)
    gradient = gradient.reshape(*sizes.out_shape, 1, gradient.shape[-1])
    axes = tuple(range(len(sizes.out_shape)))

    def one_row(_, row):
        part = _rows(padded, row, sizes)
        sums = [(_shifted(part, offset, sizes) * gradient).sum(axis=axes) for offset in _inner_offsets(psi, sizes)]
        return None, jnp.stack(sums).reshape(psi.shape[1:])

    return lax.scan(one_row, None, jnp.arange(len(psi)))[1]


def _padded(x: Array, psi: Array, sizes: Sizes) -> Array:
    radii = [side // 2 * sizes.attention_dilation for side in psi.shape[:-2]]
    return jnp.pad(x.reshape(*sizes.out_shape, *x.shape[1:]), [*((r, r) for r in radii), (0, 0), (0, 0)])


def _rows(padded: Array, row: Array, sizes: Sizes) -> Array:
    return lax.dynamic_slice_in_dim(padded, row * sizes.attention_dilation, sizes.out_shape[0], axis=0)


def _shifted(rows: Array, offset: tuple[int, ...], sizes: Sizes) -> Array:
    starts = [o * sizes.attention_dilation for o in offset]
    return rows[(slice(None), *(slice(s, s + n) for s, n in zip(starts, sizes.out_shape[1:], strict=True)))]


def _on_positions(taps: Array, sizes: Sizes) -> Array:
    """One row of psi, `[*inner_window, *ones, s, q]`, which broadcasts over positions."""
    return taps.reshape(*taps.shape[:-2], *(1,) * len(sizes.out_shape), *taps.shape[-2:])


def _inner_offsets(psi: Array, sizes: Sizes) -> list[tuple[int, ...]]:
    return list(np.ndindex(*psi.shape[1 : len(sizes.out_shape)]))


def _offsets(sizes: Sizes) -> list[tuple[int, ...]]:
    return [tuple(o * sizes.sampling.kernel_dilation for o in offset) for offset in np.ndindex(*sizes.window_shape)]


def _products(subscripts: str, a: Array, b: Array) -> Array:
    return jnp.einsum(subscripts, a, b, precision="highest")


def _sum(terms: Array | Iterable[Array]) -> Array:
    # Written out: XLA makes a reduction over a leading axis inside a fusion a scalar loop on a CPU.
    return functools.reduce(operator.add, terms)

"""Attention of frames in windows on a CPU, as products of rows with shifted rows, with a custom backward pass.

Positions are the last axis. A score of all queries of a block of heads is a sum over features of products of two rows, so
there are neither gathers nor tiles, and loops are long. Each result is computed once and kept: XLA would fuse it into
whatever reads it. The backward pass recomputes the weights from the logarithm of their total.
"""

import functools
import operator
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple, TypeVar

import jax
import jax.numpy as jnp

from gequi_jax._typing import Array, Float
from gequi_jax.functional._loops import map_on_all_cores
from gequi_jax.functional._windows import Window
from gequi_jax.functional.self_attention._rotary import turn
from gequi_jax.functional.self_attention._shifted_rows import ShiftedRows, shifted_rows, with_margins

# Products of features and offsets, which are written out. Beyond that, matrix products of tiles compile faster.
_MAX_PRODUCTS = 512
Kept = TypeVar("Kept")


def attends_by_shifts(window: Window, features: int) -> bool:
    """Whether the products of a window and so many features are few enough to be written out."""
    return int(window.mask.sum()) * features <= _MAX_PRODUCTS


def attend_by_shifts(
    query: Float[Array, "batch *spatial heads features"],
    key: Float[Array, "batch *spatial heads features"],
    value: Float[Array, "batch *spatial heads features"],
    position_bias: Float[Array, "heads window"] | None,
    rotation: tuple[Float[Array, "group frame_heads pairs positions"], ...] | None,
    window: Window,
    *,
    scale: float,
) -> Float[Array, "batch *spatial heads features"]:
    """Attention of many heads to the window around each query.

    Args:
      query, key, value: of all heads and frames.
      position_bias: that of the offsets that take part.
      rotation: the cosines and the sines of the angles by which queries and keys are turned, if they are.
      window: of the keys.
      scale: the factor of the products of queries and keys.
    """
    rows = shifted_rows(query.shape[1:-2], window, query.shape[-2])
    # What makes the operands is not fused with the transposition, nor the transposition with what reads the result.
    blocks = _kept(list(map(rows.split, _kept([query, key, value]))))
    bias = None if position_bias is None else rows.split_bias(position_bias)
    if rotation is not None:
        cos, sin = (x.reshape(-1, rows.heads, *x.shape[2:]) for x in rotation)
        rotation = cos, sin
    out = _attention_of_rows(rows, scale)(blocks, _Shared(bias, rotation))
    return _kept(rows.join(_kept(out), value))


class _Shared(NamedTuple):
    """What the samples share, for every block of heads of a sample or for one of them.

    Attributes:
      bias: `[window, heads]`.
      rotation: cosines and sines, `[heads, pairs, length]`.
    """

    bias: Array | None
    rotation: tuple[Array, Array] | None


def _attention_of_rows(rows: ShiftedRows, scale: float) -> Callable[..., Array]:
    """Attention of blocks `[blocks, heads, features, length]` of queries, keys and values."""
    prepare = functools.partial(_turned_and_scaled, scale)

    def forward(blocks: Sequence[Array], shared: _Shared):
        attend = functools.partial(_attend, rows, prepare, _kept(rows.masks(0)))
        out, log_total = _kept(_map_blocks(attend, shared, *blocks))
        return out, (blocks, shared, out, log_total)

    def backward(residuals, out_gradient: Array):
        blocks, shared, out, log_total = residuals
        out_gradient = _kept(out_gradient)
        mean = _kept((out_gradient * out).sum(axis=-2))
        differentiate = functools.partial(_differentiate, rows, prepare, _kept(rows.masks(rows.margin)))
        gradients, of_shared = _kept(_map_blocks(differentiate, shared, *blocks, out_gradient, log_total, mean))
        return gradients, jax.tree.map(_sum_over_batch, of_shared, shared)

    attend = jax.custom_vjp(lambda *operands: forward(*operands)[0])
    attend.defvjp(forward, backward)
    return attend


def _map_blocks(function: Callable[..., Kept], shared: _Shared, *blocks: Array) -> Kept:
    """Over the blocks of all samples, each with what its heads share."""

    def apply(arguments: tuple[Array, ...]) -> Kept:
        index, *block = arguments
        own = jax.tree.map(lambda x: jax.lax.dynamic_index_in_dim(x, index % x.shape[0], keepdims=False), shared)
        return function(own, *block)

    return map_on_all_cores(apply, (jnp.arange(blocks[0].shape[0]), *blocks))


def _sum_over_batch(gradient: Array, shared: Array) -> Array:
    return gradient.reshape(-1, *shared.shape).sum(axis=0).astype(shared.dtype)


def _turned_and_scaled(
    scale: float, query: Array, key: Array, rotation: tuple[Array, Array] | None
) -> tuple[Array, Array]:
    """Queries and keys `[heads, features, length]` as they enter the products."""
    if rotation is None:
        return query * scale, key
    cos, sin = rotation
    query, key = _kept([turn(x, cos, sin, axis=-2) for x in (query, key)])
    return query * scale, key


def _attend(
    rows: ShiftedRows,
    prepare: Callable,
    masks: Sequence[Array],
    shared: _Shared,
    query: Array,
    key: Array,
    value: Array,
) -> tuple[Array, Array]:
    """The output of a block, `[heads, features, length]`, and for each query the logarithm of the total of the weights."""
    query, key = _kept(prepare(query, key, shared.rotation))
    key, value = (with_margins(x, rows.margin) for x in (key, value))
    to_key = [functools.partial(_slice, start=rows.margin + shift, length=rows.length) for shift in rows.shifts]
    fixed = _fixed_scores(masks, shared.bias, query.dtype)
    scores = [_sum((row, *_products(query, shifted(key)))) for row, shifted in zip(fixed, to_key, strict=True)]
    scores = _kept(scores)
    largest = _kept(functools.reduce(jnp.maximum, scores))
    weights = _kept([jnp.exp(row - largest) for row in scores])
    total = _kept(_sum(weights))
    out = _weighted_sum(weights, (shifted(value) for shifted in to_key)) * _kept(1.0 / total)[:, None]
    return _kept(out), largest + jnp.log(total)


class _Block(NamedTuple):
    """The arrays of a block in the backward pass, `[heads, features, length]`; the last two have no features."""

    query: Array
    key: Array
    value: Array
    out_gradient: Array
    log_total: Array
    mean: Array  # of the gradient of the weights, under the weights


def _differentiate(
    rows: ShiftedRows, prepare: Callable, masks: Sequence[Array], shared: _Shared, *arrays: Array
) -> tuple[list[Array], _Shared]:
    """The gradients of the query, the key and the value of a block, and those of what samples share."""
    block, margin = _Block(*arrays), rows.margin
    prepared, to_unprepared = jax.vjp(prepare, block.query, block.key, shared.rotation)
    query, key = _kept(prepared)
    query, *others = (with_margins(x, margin) for x in (query, *block[3:]))
    key, value = (with_margins(x, 2 * margin) for x in (key, block.value))
    block = _Block(query, key, value, *others)
    weights, scores = _weights_and_score_gradients(rows, masks, shared.bias, block)
    inside = functools.partial(_slice, start=margin, length=rows.length)

    def sum_at_keys(factors: Sequence[Array], x: Array) -> Array:
        to_query = [functools.partial(_slice, start=margin - shift, length=rows.length) for shift in rows.shifts]
        shifted = (shift(factor) for shift, factor in zip(to_query, factors, strict=True))
        return _weighted_sum(shifted, (shift(x) for shift in to_query))

    keys = (_slice(block.key, 2 * margin + shift, rows.length) for shift in rows.shifts)
    to_query = _weighted_sum(map(inside, scores), keys)
    to_key, to_value = sum_at_keys(scores, block.query), sum_at_keys(weights, block.out_gradient)
    *to_operands, to_rotation = to_unprepared(_kept((to_query, to_key)))
    to_bias = None if shared.bias is None else jnp.stack([inside(row).sum(axis=-1) for row in scores])
    return _kept([*to_operands, to_value]), _Shared(to_bias, to_rotation)


def _weights_and_score_gradients(
    rows: ShiftedRows, masks: Sequence[Array], bias: Array | None, block: _Block
) -> tuple[list[Array], list[Array]]:
    """The weights of each offset and the gradients of its scores, also of the queries in margins, where both are 0."""
    length = rows.length + 2 * rows.margin
    to_key = [functools.partial(_slice, start=rows.margin + shift, length=length) for shift in rows.shifts]
    fixed = _fixed_scores(masks, bias, block.query.dtype)
    weights = [
        jnp.exp(_sum((row - block.log_total, *_products(block.query, shifted(block.key)))))
        for row, shifted in zip(fixed, to_key, strict=True)
    ]
    weights = _kept(weights)
    scores = [
        weight * _sum((-block.mean, *_products(block.out_gradient, shifted(block.value))))
        for weight, shifted in zip(weights, to_key, strict=True)
    ]
    return weights, _kept(scores)


def _fixed_scores(masks: Sequence[Array], bias: Array | None, dtype: jnp.dtype) -> list[Array]:
    """What the scores of each offset have besides the products: the mask and the bias, `[heads or 1, length]`."""
    rows = [mask.astype(dtype)[None] for mask in masks]
    return (
        rows
        if bias is None
        else [row + of_head.astype(dtype)[:, None] for row, of_head in zip(rows, bias, strict=True)]
    )


def _products(x: Array, y: Array) -> Iterable[Array]:
    """The products of the rows of each feature."""
    return (x[:, feature] * y[:, feature] for feature in range(x.shape[1]))


def _weighted_sum(weights: Iterable[Array], arrays: Iterable[Array]) -> Array:
    """Of arrays `[heads, features, length]`, with weights `[heads, length]`."""
    return _sum(weight[:, None] * x for weight, x in zip(weights, arrays, strict=True))


def _slice(x: Array, start: int, length: int) -> Array:
    return jax.lax.slice_in_dim(x, start, start + length, axis=-1)


def _sum(terms: Iterable[Array]) -> Array:
    return functools.reduce(operator.add, terms)


def _kept(x: Kept) -> Kept:
    return jax.lax.optimization_barrier(x)

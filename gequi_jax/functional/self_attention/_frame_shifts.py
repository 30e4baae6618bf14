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
from gequi_jax.functional._windows import Window
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
    window: Window,
    *,
    scale: float,
) -> Float[Array, "batch *spatial heads features"]:
    """Attention of many heads to the window around each query; the bias is that of the offsets that take part."""
    rows = shifted_rows(query.shape[1:-2], window, query.shape[-2])

    def forward(query: Array, key: Array, value: Array, bias: Array | None):
        # What makes the operands is not fused with the transposition, nor the transposition with what reads the result.
        query, key, value = _kept((query, key, value))
        blocks = _kept((rows.split(query) * scale, rows.split(key), rows.split(value)))
        out, log_total = _kept(_map_blocks(functools.partial(_attend, rows, _kept(rows.masks(0))), blocks, bias))
        return _kept(rows.join(out, query)), (query, key, value, bias, blocks, out, log_total)

    def backward(residuals, out_gradient: Array):
        *operands, bias, blocks, out, log_total = residuals
        out_gradient = _kept(rows.split(_kept(out_gradient)))
        mean = _kept(_sum(out_gradient[:, i] * out[:, i] for i in range(out.shape[1])))
        differentiate = functools.partial(_differentiate, rows, _kept(rows.masks(rows.margin)))
        gradients = _kept(_map_blocks(differentiate, (*blocks, out_gradient, log_total, mean), bias))
        to_query, to_key, to_value = (gradients[0][:, index] for index in range(3))
        to_operands = _kept(list(map(rows.join, (to_query * scale, to_key, to_value), operands)))
        return *to_operands, None if bias is None else _sum_over_batch(gradients[1], bias)

    attend = jax.custom_vjp(lambda *operands: forward(*operands)[0])
    attend.defvjp(forward, backward)
    return attend(query, key, value, None if position_bias is None else rows.split_bias(position_bias))


def _map_blocks(function: Callable[..., Kept], blocks: Sequence[Array], bias: Array | None) -> Kept:
    """Over the blocks of all samples, each with the bias of its heads."""

    def apply(arguments: tuple[Array, ...]) -> Kept:
        index, *block = arguments
        own = None if bias is None else jax.lax.dynamic_index_in_dim(bias, index % bias.shape[0], keepdims=False)
        return function(own, *block)

    return jax.lax.map(apply, (jnp.arange(blocks[0].shape[0]), *blocks))


def _attend(
    rows: ShiftedRows, masks: Sequence[Array], bias: Array | None, query: Array, key: Array, value: Array
) -> tuple[Array, Array]:
    """The output of a block, `[features, length]`, and for each query the logarithm of the total of the exponentials."""
    key, value = (with_margins(x, rows.margin) for x in (key, value))
    to_key = [functools.partial(_slice, start=rows.margin + shift, length=rows.length) for shift in rows.shifts]
    fixed = _fixed_scores(rows, masks, bias, query.dtype, margin=0)
    scores = [_sum((row, *_products(query, shifted(key)))) for row, shifted in zip(fixed, to_key, strict=True)]
    scores = _kept(scores)
    largest = _kept(functools.reduce(jnp.maximum, scores))
    weights = _kept([jnp.exp(row - largest) for row in scores])
    total = _kept(_sum(weights))
    inverse = _kept(1.0 / total)
    out = [
        _sum(weight * shifted(row) for weight, shifted in zip(weights, to_key, strict=True)) * inverse
        for row in _rows(value)
    ]
    return jnp.stack(_kept(out)), largest + jnp.log(total)


class _Block(NamedTuple):
    """The arrays of a block in the backward pass; the last two have one row."""

    query: Array
    key: Array
    value: Array
    out_gradient: Array
    log_total: Array
    mean: Array  # of the gradient of the weights, under the weights


def _differentiate(rows: ShiftedRows, masks: Sequence[Array], bias: Array | None, *arrays: Array) -> tuple[Array, ...]:
    """The gradients of the query, the key and the value of a block in one array, and that of the bias."""
    block, margin = _Block(*arrays), rows.margin
    at_queries = (with_margins(x, margin) for x in (block.query, *block[3:]))
    at_keys = (with_margins(x, 2 * margin) for x in (block.key, block.value))
    query, *others = at_queries
    block = _Block(query, *at_keys, *others)
    weights, scores = _weights_and_score_gradients(rows, masks, bias, block)
    inside = functools.partial(_slice, start=margin, length=rows.length)

    def sum_at_queries(factors: Sequence[Array], row: Array) -> Array:
        shifted = (_slice(row, 2 * margin + shift, rows.length) for shift in rows.shifts)
        return _sum(inside(factor) * x for factor, x in zip(factors, shifted, strict=True))

    def sum_at_keys(factors: Sequence[Array], row: Array) -> Array:
        starts = (margin - shift for shift in rows.shifts)
        pairs = zip(factors, starts, strict=True)
        return _sum(_slice(factor, start, rows.length) * _slice(row, start, rows.length) for factor, start in pairs)

    to_query = [sum_at_queries(scores, row) for row in _rows(block.key)]
    to_key = [sum_at_keys(scores, row) for row in _rows(block.query)]
    to_value = [sum_at_keys(weights, row) for row in _rows(block.out_gradient)]
    gradients = jnp.stack(_kept([*to_query, *to_key, *to_value])).reshape(3, -1, rows.length)
    if bias is None:
        return (gradients,)
    by_head = jnp.stack([inside(row) for row in scores]).reshape(*bias.shape, -1)
    return gradients, by_head.sum(axis=-1)


def _weights_and_score_gradients(
    rows: ShiftedRows, masks: Sequence[Array], bias: Array | None, block: _Block
) -> tuple[list[Array], list[Array]]:
    """The weights of each offset and the gradients of its scores, also of the queries in margins, where these are 0."""
    length = rows.length + 2 * rows.margin
    to_key = [functools.partial(_slice, start=rows.margin + shift, length=length) for shift in rows.shifts]
    fixed = _fixed_scores(rows, masks, bias, block.query.dtype, rows.margin)
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


def _fixed_scores(
    rows: ShiftedRows, masks: Sequence[Array], bias: Array | None, dtype: jnp.dtype, margin: int
) -> list[Array]:
    """What the scores of each offset have besides the products: the mask and the bias."""
    masks = [mask.astype(dtype) for mask in masks]
    if bias is None:
        return masks
    by_position = jnp.broadcast_to(bias.astype(dtype)[..., None], (*bias.shape, rows.length // rows.heads))
    by_position = with_margins(_kept(by_position).reshape(len(masks), -1), margin)
    return [mask + row for mask, row in zip(masks, _rows(by_position), strict=True)]


def _sum_over_batch(gradient: Array, bias: Array) -> Array:
    return gradient.reshape(-1, *bias.shape).sum(axis=0).astype(bias.dtype)


def _products(x: Array, y: Array) -> Iterable[Array]:
    return (first * second for first, second in zip(_rows(x), _rows(y), strict=True))


def _rows(x: Array) -> list[Array]:
    return [jax.lax.index_in_dim(x, index, keepdims=False) for index in range(x.shape[0])]


def _slice(x: Array, start: int, length: int) -> Array:
    return jax.lax.slice_in_dim(x, start, start + length, axis=-1)


def _sum(terms: Iterable[Array]) -> Array:
    return functools.reduce(operator.add, terms)


def _kept(x: Kept) -> Kept:
    return jax.lax.optimization_barrier(x)

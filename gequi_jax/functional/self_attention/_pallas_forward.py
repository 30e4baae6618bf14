"""The kernel of the forward pass: two loops over the offsets of the window, for the statistics and for the output."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gequi_jax._typing import Array
from gequi_jax.functional.self_attention._pallas_tiles import Tile


class Outputs(NamedTuple):
    """The references that the kernel writes.

    Attributes:
      out: `[g, d, sublanes, positions]`.
      largest, inverse_total: the largest score of each query, and the inverse of the sum of its weights, `[g, a, sublanes,
        positions]`.
    """

    out: Any
    largest: Any
    inverse_total: Any


def attend_tile(tile: Tile, outputs: Outputs) -> None:
    """The output and the statistics of one tile."""
    sizes = tile.sizes

    def attend_pass(index, _):
        first = index * sizes.outputs_per_pass
        tile.write_pose_scores(first)
        _write_statistics(tile, outputs, first)
        _write_output(tile, outputs, first)

    jax.lax.fori_loop(0, sizes.passes, attend_pass, None)


def _write_statistics(tile: Tile, outputs: Outputs, first: Array) -> None:
    """The running maximum and sum over the offsets of the window."""
    sizes, lanes = tile.sizes, tile.lanes
    shape = (sizes.sublanes, lanes.size)

    def start(g, a):
        outputs.largest[first + g, a, :, lanes] = jnp.full(shape, -jnp.inf, tile.dtype)
        outputs.inverse_total[first + g, a, :, lanes] = jnp.zeros(shape, tile.dtype)

    def add_offset(offset, _):
        tile.write_content_scores(offset)

        def add(g, a):
            scores = tile.scores(first, g, a, offset)
            before = outputs.largest[first + g, a, :, lanes]
            largest = jnp.maximum(before, scores.max(axis=0))
            finite = _finite(largest)
            weights = jnp.exp(scores - finite[None])
            total = outputs.inverse_total[first + g, a, :, lanes] * jnp.exp(before - finite) + weights.sum(axis=0)
            outputs.largest[first + g, a, :, lanes] = largest
            outputs.inverse_total[first + g, a, :, lanes] = total

        tile.for_each_query(add)

    def finish(g, a):
        total = outputs.inverse_total[first + g, a, :, lanes]
        outputs.inverse_total[first + g, a, :, lanes] = 1.0 / jnp.where(total > 0, total, 1.0)
        outputs.largest[first + g, a, :, lanes] = _finite(outputs.largest[first + g, a, :, lanes])

    tile.for_each_query(start)
    jax.lax.fori_loop(0, sizes.offsets, add_offset, None)
    tile.for_each_query(finish)


def _write_output(tile: Tile, outputs: Outputs, first: Array) -> None:
    """The sum over the offsets of attention times value."""
    sizes, lanes = tile.sizes, tile.lanes

    def start(g, _):
        outputs.out[first + g, :, :, lanes] = jnp.zeros((sizes.value_features, sizes.sublanes, lanes.size), tile.dtype)

    def add_offset(offset, _):
        tile.write_content_scores(offset)
        value = tile.shifted(tile.inputs.value, offset)

        def add(g, _):
            attention = attention_to_keys(tile, outputs.largest, outputs.inverse_total, first, g, offset)
            attention = tile.drop(first + g, offset)(attention)
            outputs.out[first + g, :, :, lanes] += (attention[:, None] * value).sum(axis=0)

        tile.repeat(sizes.outputs_per_pass, add)

    tile.repeat(sizes.outputs_per_pass, start)
    jax.lax.fori_loop(0, sizes.offsets, add_offset, None)


def attention_to_keys(tile: Tile, largest: Any, inverse_total: Any, first: Array, g: Array, offset: Array) -> Array:
    """The weights of all query poses together, `[m, tile]`, for one output pose and offset."""
    nothing = jnp.zeros((tile.sizes.keys, *tile.scratch.content.shape[2:]), tile.dtype)

    def add(a, attention):
        return attention + softmax(tile, largest, inverse_total, first, g, a, offset)

    return tile.repeat(tile.sizes.queries, add, nothing)


def softmax(tile: Tile, largest: Any, inverse_total: Any, first: Array, g: Array, a: Array, offset: Array) -> Array:
    """The weights `[m, tile]` of one query pose, from the statistics."""
    scores = tile.scores(first, g, a, offset)
    weights = jnp.exp(scores - largest[first + g, a, :, tile.lanes][None])
    return weights * inverse_total[first + g, a, :, tile.lanes][None]


def _finite(largest: Array) -> Array:
    """The largest score, or 0 for a query without a single key, whose weights are then 0."""
    return jnp.where(largest > -jnp.inf, largest, 0.0)

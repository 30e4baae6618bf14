"""Global self-attention in blocks of query positions.

The equations are applied to one block of positions at a time and recomputed in the backward pass, so that the memory is
that of the inputs, the outputs and one block.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp

from gequi_jax._typing import Array
from gequi_jax.actions import relative_positions
from gequi_jax.functional._platform import by_platform
from gequi_jax.functional._windows import Window
from gequi_jax.functional.self_attention._dropout import Dropout
from gequi_jax.functional.self_attention._equation import attend_to_all
from gequi_jax.functional.self_attention._operands import Operands

# Scores in one step: on a CPU they should fit in the cache, an accelerator needs many to be busy.
SCORES_PER_STEP = {"cpu": 2**19, "default": 2**26}


class Blocks(NamedTuple):
    """How many query positions, and if all of them fit how many samples, are worked on together."""

    positions: int
    samples: int


def attend_globally(operands: Operands, window: Window, dropout: Dropout) -> Array:
    """Attention to every position: `[batch, *spatial, group, heads, features]`."""
    batch, spatial_shape, (poses, heads) = (
        operands.query.shape[0],
        operands.query.shape[1:-3],
        operands.query.shape[-3:-1],
    )
    _, offsets = relative_positions(spatial_shape)  # [query position, key position]
    positions = len(offsets)
    scores_per_position = len(operands.position_encoding) * poses**2 * heads * positions
    plans = {
        platform: block_sizes(positions, batch, max(1, scores // scores_per_position))
        for platform, scores in SCORES_PER_STEP.items()
    }
    flat = operands._replace(
        **{
            name: getattr(operands, name).reshape(batch, positions, *getattr(operands, name).shape[-3:])
            for name in ("query", "key", "value")
        }
    )
    seeds = dropout.split(batch, positions)
    attend = functools.partial(_attend_in_blocks, window=window, dropout=dropout, spatial_shape=spatial_shape)
    out = by_platform(attend, flat, seeds, **plans)
    return out.reshape(batch, *spatial_shape, *out.shape[2:])


def _attend_in_blocks(
    blocks: Blocks, operands: Operands, seeds: Array | None, *, window: Window, dropout: Dropout, spatial_shape
) -> Array:
    _, offsets = relative_positions(spatial_shape)
    offsets, mask = jnp.asarray(offsets, jnp.int32), jnp.asarray(window.mask)

    def attend_sample(sample):
        query, key, value, seeds = sample

        @jax.checkpoint
        def attend_block(block):
            offsets, query, seeds = block
            return attend_to_all(offsets, operands._replace(query=query, key=key, value=value), mask, dropout, seeds)

        split = jax.tree.map(lambda x: x.reshape(-1, blocks.positions, *x.shape[1:]), (offsets, query, seeds))
        out = jax.lax.map(attend_block, split)
        return out.reshape(-1, *out.shape[2:])

    return jax.lax.map(attend_sample, (*operands[:3], seeds), batch_size=blocks.samples)


def block_sizes(positions: int, batch: int, positions_per_step: int) -> Blocks:
    """The largest blocks that divide the work and hold at most so many positions."""
    return Blocks(
        largest_divisor(positions, positions_per_step), largest_divisor(batch, positions_per_step // positions)
    )


def largest_divisor(number: int, limit: int) -> int:
    """The largest divisor of a number that is at most the limit, and 1 if the limit is below 1."""
    return max(size for size in range(1, number + 1) if number % size == 0 and size <= max(limit, 1))

"""Global self-attention in blocks of query positions.

The reference formula for a block of positions at a time, made again in the backward pass, so that the memory of the whole
operation stays that of its inputs and outputs and of one block.
"""

import jax
import jax.numpy as jnp
import numpy as np

from gequi_jax._typing import Array
from gequi_jax.actions import relative_positions
from gequi_jax.functional.self_attention._reference import attend_at

# Scores in one step: a CPU wants them in its cache, an accelerator wants to be filled.
_SCORES_PER_STEP = {"cpu": 2**19, "tpu": 2**26}
_SCORES_PER_STEP_GPU = 2**28


def attend_globally(
    query: Array,
    key: Array,
    value: Array,
    position_encoding: Array,
    pose_encoding: Array | None,
    *,
    window_shape: tuple[int, ...],
    window_mask: np.ndarray,
    dropout_rate: float,
    dropout_key: Array | None,
) -> Array:
    """Attention to every position; arguments and result are those of the reference."""
    del window_shape  # that of all relative offsets
    spatial_shape, (poses, heads) = query.shape[1:-3], query.shape[-3:-1]
    _, offset_index = relative_positions(spatial_shape)  # [query position, key position]
    positions = len(offset_index)
    flat = [x.reshape(x.shape[0], positions, *x.shape[-3:]) for x in (query, key, value)]
    scores_per_position = position_encoding.shape[0] * poses**2 * heads * positions
    block, samples_per_step = block_sizes(positions, query.shape[0], scores_per_position)

    def attend_sample(query, key, value, keys):
        @jax.checkpoint
        def attend_block(inputs):
            return attend_at(
                inputs[0], inputs[1], key, value, position_encoding, pose_encoding, window_mask, inputs[2], dropout_rate
            )

        offsets = jnp.asarray(offset_index, jnp.int32)
        split = [None if x is None else x.reshape(-1, block, *x.shape[1:]) for x in (offsets, query, keys)]
        out = jax.lax.map(attend_block, tuple(split))
        return out.reshape(-1, *out.shape[2:])

    keys = None if dropout_key is None else jax.random.split(dropout_key, (query.shape[0], positions))
    out = jax.lax.map(lambda sample: attend_sample(*sample), (*flat, keys), batch_size=samples_per_step)
    return out.reshape(out.shape[0], *spatial_shape, *out.shape[2:])


def block_sizes(positions: int, batch: int, scores_per_position: int) -> tuple[int, int]:
    """How many query positions make a block, and how many samples are worked on together."""
    fitting = max(1, _SCORES_PER_STEP.get(jax.default_backend(), _SCORES_PER_STEP_GPU) // scores_per_position)
    block = max(size for size in range(1, positions + 1) if positions % size == 0 and size <= fitting)
    samples = max(size for size in range(1, batch + 1) if batch % size == 0 and size <= max(1, fitting // positions))
    return block, samples

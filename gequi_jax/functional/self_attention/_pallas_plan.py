"""How much of the work one program of the kernel takes: what fits in the memory of a TPU core beside the pipeline."""

import math

from gequi_jax.functional._windows import Window
from gequi_jax.functional.self_attention._global import largest_divisor
from gequi_jax.functional.self_attention._operands import Operands
from gequi_jax.functional.self_attention._pallas_layout import LANES, Layout, halo_lanes, pitches

# Bytes of the vector memory of a core (128 MiB on TPU v5e and v6e): the limit of a kernel, what blocks of operands and
# gradients may take of it, and what the pose scores of one pass over the window may take.
MEMORY_LIMIT = 100 * 2**20
MEMORY_OF_BLOCKS = 32 * 2**20
MEMORY_OF_POSE_SCORES = 8 * 2**20


def plan_layout(operands: Operands, window: Window) -> Layout:
    """The layout with the largest blocks that fit, of equal length."""
    spatial_shape, itemsize = operands.query.shape[1:-3], operands.query.dtype.itemsize
    sublanes = 16 if itemsize == 2 else 8
    positions = math.prod(pitches(spatial_shape, window))
    most = (MEMORY_OF_BLOCKS // _bytes_per_position(operands, sublanes) - halo_lanes(spatial_shape, window)) // LANES
    blocks = math.ceil(positions / (max(1, most) * LANES))
    tiles = math.ceil(positions / (max(1, blocks) * LANES))
    return Layout(spatial_shape, window, max(1, tiles) * LANES, sublanes)


def outputs_per_pass(outputs: int, queries: int, keys: int, sublanes: int) -> int:
    """The output poses whose pose scores, and their gradients, are kept at the same time."""
    scores = 4 * sublanes * LANES * queries * keys
    return largest_divisor(outputs, MEMORY_OF_POSE_SCORES // scores)


def _bytes_per_position(operands: Operands, sublanes: int) -> int:
    """The backward pass: operands and gradients, twice since transfers overlap with the work."""
    poses, features, outputs = operands.query.shape[-3], operands.query.shape[-1], len(operands.position_encoding)
    values = operands.value.shape[-1]
    numbers = 4 * poses * features + 2 * poses * values + outputs * values + 2 * outputs * poses
    return 2 * 4 * sublanes * numbers

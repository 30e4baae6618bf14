"""How windowed self-attention divides its work: into blocks of rows and heads, and on a CPU into separate stages.

On accelerators XLA fuses the stages, and the heads of a block are the last axis of every array.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.export
import jax.numpy as jnp

from gequi_jax._typing import Array
from gequi_jax.functional.self_attention import _fused_stages
from gequi_jax.functional.self_attention._global import largest_divisor

# Scores of one output pose in one step: they should fit in the cache of a CPU, and in the vector memory of a TPU beside
# the windows of keys and values. Other accelerators need many to be busy.
SCORES_PER_STEP = {"cpu": 2**18, "tpu": 2**21, "default": 2**25}
# The heads of a block on accelerators: the lanes of a register of a TPU. XLA pads fewer to as many, or moves another axis
# to the lanes.
LANES = 128


class Plan(NamedTuple):
    """What differs between platforms.

    Attributes:
      rows: how many rows are worked on together.
      heads: how many heads of all samples are worked on together; on a CPU one, unless all rows fit.
      separate: whether the result of each stage is computed once and kept, as on a CPU; else XLA fuses the stages, and
        arrays have the heads of the block as their last axis.
    """

    rows: int
    heads: int
    separate: bool

    def run(self, stage: Callable[..., Array], *arrays: Array, **sizes: tuple[int, ...]) -> Array:
        """The result of a stage.

        XLA's CPU compiler would fuse a cheap stage into each stage that reads its result, and repeat it for every element
        that they read: a product over the features of a head once for every pose, and slices at traced positions inside
        loops that are then not vectorised. Barriers before and after a stage keep it apart.
        """
        if not self.separate:
            return _fused_stages.OF_STAGE.get(stage, stage)(*arrays, **sizes)
        return jax.lax.optimization_barrier(stage(*jax.lax.optimization_barrier(arrays), **sizes))

    def einsum(self, equation: str, x: Array, y: Array) -> Array:
        """`jnp.einsum`, where p stands for the axes of the positions."""
        return jnp.einsum(equation, x, y) if self.separate else _fused_stages.sum_of_products(equation, x, y)


def plans(rows: int, heads: int, scores_per_row: int) -> dict[str, Plan]:
    """The plan of each platform.

    Args:
      rows: the rows of the grid.
      heads: the heads of all samples.
      scores_per_row: the scores of one head and one output pose in a row.
    """
    return {
        platform: block_sizes(rows, heads, scores // scores_per_row, separate=platform == "cpu")
        for platform, scores in SCORES_PER_STEP.items()
    }


def block_sizes(rows: int, heads: int, rows_per_step: int, *, separate: bool) -> Plan:
    """The largest blocks that hold at most so many rows, of all heads together. Rows are divided equally.

    On a CPU the heads are too. On accelerators the last block of heads is padded, unless the batch is symbolic.
    """
    if separate:
        return Plan(largest_divisor(rows, rows_per_step), largest_divisor(heads, rows_per_step // rows), separate)
    divisor = largest_divisor(heads, LANES)
    lanes = divisor if jax.export.is_symbolic_dim(heads) else min(heads, LANES)
    return Plan(largest_divisor(rows, rows_per_step // lanes), lanes, separate)

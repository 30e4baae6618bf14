"""How windowed self-attention divides its work: into blocks of rows and heads, and on a CPU into separate stages."""

from collections.abc import Callable
from typing import NamedTuple

import jax

from gequi_jax._typing import Array
from gequi_jax.functional.self_attention._global import largest_divisor

# Scores of one output pose in one step: on a CPU they should fit in the cache, an accelerator needs many to be busy.
SCORES_PER_STEP = {"cpu": 2**19, "default": 2**25}


class Plan(NamedTuple):
    """What differs between platforms.

    Attributes:
      rows: how many rows are worked on together.
      heads: if all rows fit, how many heads of all samples are worked on together.
      separate: whether the result of each stage is computed once and kept.
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
            return stage(*arrays, **sizes)
        return jax.lax.optimization_barrier(stage(*jax.lax.optimization_barrier(arrays), **sizes))


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
    """The largest blocks that divide the work and hold at most so many rows, of all heads together."""
    return Plan(largest_divisor(rows, rows_per_step), largest_divisor(heads, rows_per_step // rows), separate)

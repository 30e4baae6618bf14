"""Heads with positions last, in which the keys at an offset of the window are all keys, shifted."""

import dataclasses
import functools
import math
import operator

import jax
import jax.numpy as jnp
import numpy as np

from gequi_jax._typing import Array, Float
from gequi_jax.functional._types import wide_type
from gequi_jax.functional._windows import Window
from gequi_jax.functional.self_attention._global import largest_divisor

# Scores of a block: enough that the cores of a CPU share a stage, and few beside the arrays of a batch.
_SCORES_PER_BLOCK = 2**20
_EXCLUDED = -1e30


@dataclasses.dataclass(frozen=True, eq=False)
class ShiftedRows:
    """Heads in blocks; a row holds one feature of all positions of a head.

    A shift leads from the positions of queries to those of keys at one offset. It may lead beyond the border or to another
    line: those keys are excluded by a mask. Margins of zeros make room for shifts at both ends.

    Attributes:
      spatial_shape: of the grid.
      steps: the offsets of the window that take part, `[window, dim]`.
      heads: the heads of a block.
    """

    spatial_shape: tuple[int, ...]
    steps: np.ndarray
    heads: int

    @property
    def length(self) -> int:
        """The positions of a head."""
        return math.prod(self.spatial_shape)

    @property
    def shifts(self) -> list[int]:
        """The distance of the key from the query in a row, for each offset."""
        return [int(shift) for shift in self.steps @ self._strides()]

    @property
    def margin(self) -> int:
        """The largest distance."""
        return max(map(abs, self.shifts))

    def split(self, x: Float[Array, "batch *spatial heads features"]) -> Float[Array, "blocks heads features length"]:
        """The blocks of all samples, in float32 or wider."""
        *_, heads, features = x.shape
        x = x.reshape(x.shape[0], self.length, heads, features).astype(wide_type(x))
        return x.transpose(0, 2, 3, 1).reshape(-1, self.heads, features, self.length)

    def join(
        self, blocks: Float[Array, "blocks heads features length"], like: Float[Array, "batch *spatial heads features"]
    ) -> Float[Array, "batch *spatial heads features"]:
        """The inverse of `split`, in the shape and type of an array."""
        x = blocks.reshape(like.shape[0], *like.shape[-2:], self.length).transpose(0, 3, 1, 2)
        return x.reshape(like.shape).astype(like.dtype)

    def split_bias(self, bias: Float[Array, "heads window"]) -> Float[Array, "blocks window heads"]:
        """The bias of the heads of every block of one sample."""
        return bias.reshape(-1, self.heads, bias.shape[-1]).swapaxes(1, 2)

    def masks(self, margin: int) -> list[Array]:
        """For each offset a row that is added to the scores: it excludes what is not in the grid, and margins."""
        rows: dict[tuple[int, int], Array] = {}
        for axis, length in enumerate(self.spatial_shape):
            position = np.arange(length)[:, None].repeat(self._strides()[axis], axis=1).ravel()
            position = np.tile(position, self.length // len(position))
            for step in np.unique(self.steps[:, axis]).tolist():
                inside = (position + step >= 0) & (position + step < length)
                row = np.pad(np.where(inside, 0.0, _EXCLUDED), margin, constant_values=_EXCLUDED)
                rows[axis, step] = jnp.asarray(row, jnp.float32)
        terms = ([rows[axis, step] for axis, step in enumerate(steps)] for steps in self.steps.tolist())
        return [functools.reduce(operator.add, rows_of_axes) for rows_of_axes in terms]

    def _strides(self) -> list[int]:
        return [math.prod(self.spatial_shape[axis + 1 :]) for axis in range(len(self.spatial_shape))]


def shifted_rows(spatial_shape: tuple[int, ...], window: Window, heads: int) -> ShiftedRows:
    """The blocks of a grid for a window, of as many heads of a sample as fit."""
    steps = np.stack(np.unravel_index(np.flatnonzero(window.mask), window.shape), axis=-1)
    scores_of_a_head = len(steps) * math.prod(spatial_shape)
    block = largest_divisor(heads, _SCORES_PER_BLOCK // scores_of_a_head)
    return ShiftedRows(spatial_shape, steps - np.asarray(window.shape) // 2, block)


def with_margins(x: Array, margin: int) -> Array:
    """Zeros before and after the last axis."""
    zeros = jnp.zeros((*x.shape[:-1], margin), x.dtype)
    # A concatenation that is not fused copies whole rows.
    return jax.lax.optimization_barrier(jnp.concatenate([zeros, x, zeros], axis=-1))

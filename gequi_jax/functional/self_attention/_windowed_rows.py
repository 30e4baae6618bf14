"""Blocks of rows of one head: what the forward and the backward pass of windowed self-attention share."""

import dataclasses
import functools
import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from gequi_jax._typing import Array
from gequi_jax.functional._windows import Window
from gequi_jax.functional.self_attention import _stages as stages
from gequi_jax.functional.self_attention._dropout import Dropout
from gequi_jax.functional.self_attention._windowed_plan import Plan


@dataclasses.dataclass(frozen=True, eq=False)
class Rows:
    """The rows of one head of one sample, in blocks, or on accelerators of several heads.

    The axis p is that of the positions of a block; on accelerators p stands for the axes of its rows and columns, followed by
    that of its heads, which is the last of every array. Arrays of the head are `[pose, d, *spatial]`, those of a block `[pose, d, p]`; the encodings are `[g, j, d]` and
    `[g, a, m, d]`; dropout has a seed for each block of rows, output pose and row.

    Attributes:
      window: the neighbourhood of a query.
      spatial_shape: the sides of the grid.
      valid: `[block, j, positions]`, which keys exist and are not masked.
      dropout: of the attention weights.
      plan: the blocks of the platform.
    """

    window: Window
    spatial_shape: tuple[int, ...]
    valid: np.ndarray
    dropout: Dropout
    plan: Plan

    def split(self, x: Array) -> Array:
        """The blocks `[block, pose, d, p]` of `[pose, d, *spatial]`."""
        return jnp.moveaxis(x.reshape(*x.shape[:2], len(self.valid), *self._positions(x)), 2, 0)

    def join(self, blocks: Array) -> Array:
        """The blocks `[block, pose, d, p]` side by side: `[pose, d, positions]`."""
        return jnp.moveaxis(blocks, 0, 2).reshape(*blocks.shape[1:3], -1, *self._lanes(blocks))

    def _lanes(self, x: Array) -> tuple[int, ...]:
        """The axis of the heads of a block."""
        return () if self.plan.separate else x.shape[-1:]

    def _positions(self, x: Array) -> tuple[int, ...]:
        """The axes p of a block."""
        return (-1,) if self.plan.separate else (self.plan.rows, *self.spatial_shape[1:], x.shape[-1])

    def valid_blocks(self) -> Array:
        """Which keys exist and are not masked, `[block, j, p]`, for all heads."""
        valid = jnp.asarray(self.valid)
        if self.plan.separate:
            return valid
        return valid.reshape(*valid.shape[:2], self.plan.rows, *self.spatial_shape[1:], 1)

    def first_rows(self) -> Array:
        """The first row of each block."""
        return jnp.arange(len(self.valid)) * self.plan.rows

    def pad(self, x: Array) -> Array:
        """An array of the head with zeros as far as windows reach beyond the border."""
        radii = [side // 2 for side in self.window.shape]
        return jnp.pad(x, [(0, 0), (0, 0), *zip(radii, radii, strict=True), *((0, 0) for _ in self._lanes(x))])

    def crop(self, x: Array) -> Array:
        """The inverse of `pad`."""
        radii = [side // 2 for side in self.window.shape]
        return x[:, :, *(slice(radius, length - radius) for radius, length in zip(radii, x.shape[2:], strict=False))]

    def windows(self, padded: Array, first_row: Array) -> Array:
        """The windows `[k, d, p]` of the queries of a block."""
        rows = self.plan.rows + self.window.shape[0] - 1
        part = jax.lax.dynamic_slice_in_dim(padded, first_row, rows, axis=2)
        windows = self.plan.run(stages.windows, part, window_shape=self.window.shape)
        return windows.reshape(*windows.shape[:2], *self._positions(windows))

    def add_windows(self, total: Array, windows: Array, first_row: Array) -> Array:
        """Adds the windows of a block to the padded array that they were taken from."""
        windows = windows.reshape(*windows.shape[:2], self.plan.rows, *self.spatial_shape[1:], *self._lanes(windows))
        rows = self.plan.run(stages.sum_of_windows, windows, window_shape=self.window.shape)
        before = jax.lax.dynamic_slice_in_dim(total, first_row, rows.shape[2], axis=2)
        return jax.lax.dynamic_update_slice_in_dim(total, before + rows, first_row, axis=2)

    def kept(self, seeds: Array | None, shape: tuple[int, ...]) -> Array | None:
        """The mask of dropout, which is computed once, or None for no dropout."""
        if seeds is None:
            return None
        if not self.plan.separate:
            of_head = functools.partial(self.dropout.mask, shape=(*shape[:2], math.prod(shape[2:-1])))
            return jax.vmap(of_head, in_axes=-1, out_axes=-1)(seeds).reshape(shape)
        return self.plan.run(functools.partial(self.dropout.mask, shape=shape), seeds)

    def scaled(self, attention: Array, kept: Array | None) -> Array:
        """Attention after dropout with a mask."""
        return attention if kept is None else self.dropout.scaled(attention, kept)

    def run(self, stage: Callable[..., Array], *arrays: Array) -> Array:
        """The result of a stage, see `Plan.run`."""
        return self.plan.run(stage, *arrays)


def valid_keys(spatial_shape: tuple[int, ...], window: Window, rows: int) -> np.ndarray:
    """Which keys of a window exist and are not masked, for blocks of so many rows: `[block, j, p]`."""
    inside = np.pad(np.ones(spatial_shape, bool), [(side // 2, side // 2) for side in window.shape])
    around = np.lib.stride_tricks.sliding_window_view(inside, window.shape)
    valid = around.reshape(-1, window.size).T & window.mask[:, None]
    return np.moveaxis(valid.reshape(window.size, spatial_shape[0] // rows, -1), 1, 0)


def pose_part(query: Array, pose_encoding: Array) -> Array:
    """The features of the query `[pose, d, p]` that the pose encoding meets."""
    return query[:, query.shape[1] - pose_encoding.shape[-1] :]

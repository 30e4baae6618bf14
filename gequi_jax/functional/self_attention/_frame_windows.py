"""A grid in tiles of queries that share their keys, so that attention in windows is a few dense products.

The keys of a tile are its positions and those within the radius of the window around it. They contain the window of each
query of the tile, and the others are masked.
"""

import dataclasses
import functools
import math

import jax.numpy as jnp
import numpy as np

from gequi_jax._typing import Array, Bool, Float, Int
from gequi_jax.actions import window_offsets
from gequi_jax.functional._windows import Window

# What loading one key costs, in scores: it makes tiles larger than the fewest scores would.
_COST_OF_A_KEY = 4


@dataclasses.dataclass(frozen=True, eq=False)
class Tiles:
    """Tiles of a grid.

    Attributes:
      spatial_shape: of the grid.
      counts: the number of tiles along each axis.
      sides: the positions of a tile along each axis.
      radii: the positions around it along each axis that are keys too; 0 for a single tile.
      offsets: `[q, k]`, the index of the offset from a query of a tile to a key in the window; 0 outside of it.
      valid: `[tiles, q, k]`, whether a key is in the grid and in the window of a query.
    """

    spatial_shape: tuple[int, ...]
    counts: tuple[int, ...]
    sides: tuple[int, ...]
    radii: tuple[int, ...]
    offsets: Int[np.ndarray, "q k"]
    valid: Bool[np.ndarray, "tiles q k"]

    def split(self, x: Float[Array, "batch *spatial heads features"]) -> Float[Array, "all_tiles q heads features"]:
        """The queries of every tile of every sample; those beyond the grid are 0."""
        return self._in_order(self._blocks(x))

    def split_with_halo(
        self, x: Float[Array, "batch *spatial heads features"]
    ) -> Float[Array, "all_tiles k heads features"]:
        """The keys of every tile of every sample; those beyond the grid are 0."""
        x = self._blocks(x)
        for index, radius in enumerate(self.radii):
            if radius:
                x = _with_halo(x, 1 + 2 * index, radius)
        return self._in_order(x)

    def join(
        self, x: Float[Array, "all_tiles q heads features"], batch: int
    ) -> Float[Array, "batch *spatial heads features"]:
        """The inverse of `split`."""
        dim = len(self.sides)
        x = x.reshape(batch, *self.counts, *self.sides, *x.shape[-2:])
        axes = [axis for index in range(dim) for axis in (1 + index, 1 + dim + index)]
        x = x.transpose(0, *axes, 1 + 2 * dim, 2 + 2 * dim)
        padded = (count * side for count, side in zip(self.counts, self.sides, strict=True))
        return x.reshape(batch, *padded, *x.shape[-2:])[(slice(None), *(slice(side) for side in self.spatial_shape))]

    def _blocks(self, x: Array) -> Array:
        """`[batch, count, side, count, side, ..., heads, features]`."""
        sizes = list(zip(self.counts, self.sides, strict=True))
        missing = [count * side - length for (count, side), length in zip(sizes, self.spatial_shape, strict=True)]
        x = jnp.pad(x, ((0, 0), *((0, rest) for rest in missing), (0, 0), (0, 0)))
        return x.reshape(x.shape[0], *(size for pair in sizes for size in pair), *x.shape[-2:])

    def _in_order(self, x: Array) -> Array:
        dim = len(self.sides)
        axes = [1 + 2 * index for index in range(dim)] + [2 + 2 * index for index in range(dim)]
        x = x.transpose(0, *axes, 1 + 2 * dim, 2 + 2 * dim)
        return x.reshape(-1, math.prod(x.shape[1 + dim : 1 + 2 * dim]), *x.shape[-2:])


def window_tiles(spatial_shape: tuple[int, ...], window: Window) -> Tiles:
    """The tiles of a grid for a window, with the fewest scores and keys."""
    axes = [_axis(length, side // 2) for length, side in zip(spatial_shape, window.shape, strict=True)]
    counts, sides, radii = (tuple(sizes) for sizes in zip(*axes, strict=True))
    query = window_offsets(sides)
    key = window_offsets([side + 2 * radius for side, radius in zip(sides, radii, strict=True)])
    step = np.round(key[None] - query[:, None]).astype(int) + np.asarray(window.shape) // 2  # [q, k, dim]
    inside = ((step >= 0) & (step < window.shape)).all(axis=-1)
    offsets = np.where(inside, np.ravel_multi_index(tuple(np.moveaxis(step, -1, 0)), window.shape, mode="clip"), 0)
    corners = np.stack(np.meshgrid(*map(np.arange, counts), indexing="ij"), axis=-1).reshape(-1, 1, len(counts)) * sides
    position = corners + np.round(key - key[0]).astype(int) - radii  # [tiles, k, dim]
    in_grid = ((position >= 0) & (position < spatial_shape)).all(axis=-1)
    return Tiles(spatial_shape, counts, sides, radii, offsets, in_grid[:, None] & (inside & window.mask[offsets])[None])


@functools.cache
def _axis(length: int, radius: int) -> tuple[int, int, int]:
    """The number of tiles along one axis, their side, and the radius of the keys around them."""

    def plan(count: int) -> tuple[int, int, int]:
        return count, math.ceil(length / count), 0 if count == 1 else radius

    def cost(plan: tuple[int, int, int]) -> int:
        count, side, halo = plan
        return count * (side + 2 * halo) * (side + _COST_OF_A_KEY)

    # A halo comes from the two neighbours of a tile, so it is no wider than a tile.
    plans = (plan(count) for count in range(1, length + 1))
    return min((plan for plan in plans if plan[1] >= plan[2]), key=cost)


def _with_halo(x: Array, axis: int, radius: int) -> Array:
    """Tiles along `axis`, whose positions are along the next one, with those of their neighbours within the radius."""
    side = x.shape[axis + 1]
    zeros = jnp.zeros_like(jnp.take(x, jnp.arange(1), axis=axis))

    def part(x, start, stop, along):
        index = [slice(None)] * x.ndim
        index[along] = slice(start, stop)
        return x[tuple(index)]

    before = jnp.concatenate([zeros, part(x, 0, -1, axis)], axis=axis)
    after = jnp.concatenate([part(x, 1, None, axis), zeros], axis=axis)
    return jnp.concatenate(
        [part(before, side - radius, None, axis + 1), x, part(after, 0, radius, axis + 1)], axis=axis + 1
    )

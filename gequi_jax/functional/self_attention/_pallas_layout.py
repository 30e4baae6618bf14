"""The memory layout of the kernel: positions along lanes, heads of all samples along sublanes.

A grid is flattened with as many empty columns between two rows as a window reaches beyond the border. The key at an
offset of the window is then at a constant distance from its query, in any number of dimensions, and a key that does not
exist lies on an empty position. Arrays are `[pose, d, head, position]`, so that every operation of the kernel works on
whole tiles of heads and positions.
"""

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np

from gequi_jax._typing import Array
from gequi_jax.functional._windows import Window

# The positions of one tile: the lanes of a vector register of a TPU.
LANES = 128
# The rows of a tile in the memory of a TPU.
SUBLANES = 8


@dataclasses.dataclass(frozen=True, eq=False)
class Layout:
    """Where the positions of a grid lie in a flat array, and the blocks into which it is cut.

    Attributes:
      spatial_shape: the sides of the grid.
      window: the neighbourhood of a query.
      block: the query positions that one program works on, a multiple of `LANES`.
      sublanes: the heads that one program works on.
    """

    spatial_shape: tuple[int, ...]
    window: Window
    block: int
    sublanes: int

    @property
    def blocks(self) -> int:
        """The number of blocks of query positions."""
        return max(1, math.ceil(math.prod(self._pitches) / self.block))

    @property
    def key_block(self) -> int:
        """The positions of the keys that one program reads: its queries and what windows reach around them."""
        return self.block + halo_lanes(self.spatial_shape, self.window)

    @property
    def positions(self) -> int:
        """The positions of all blocks of queries."""
        return self.blocks * self.block

    @property
    def key_positions(self) -> int:
        """The positions of all keys, with what windows reach beyond the border."""
        return self.positions + self.key_block - self.block

    def offsets(self) -> tuple[np.ndarray, np.ndarray]:
        """The offsets of the window that take part, and the distance of each from the first key of a query."""
        active = np.flatnonzero(self.window.mask)
        steps = np.stack(np.unravel_index(active, self.window.shape), axis=-1)
        return active, (steps * strides(self.spatial_shape, self.window)).sum(axis=-1)

    def outside(self) -> np.ndarray:
        """-inf on every position that holds no key, 0 elsewhere: `[sublanes, key_positions]`."""
        exists = np.asarray(self._flat(np.ones((1, *self.spatial_shape, 1, 1, 1), bool), np))
        halo = reach(self.spatial_shape, self.window)
        row = np.full(self.key_positions, -np.inf, np.float32)
        row[halo : halo + exists.size] = np.where(exists.ravel(), 0.0, -np.inf)
        return np.broadcast_to(row, (self.sublanes, len(row)))

    def queries(self, x: Array) -> Array:
        """`[pose, d, head, position]` from `[batch, *spatial, pose, heads, d]`."""
        return self._pad(self._flat(x, jnp), 0, self.positions)

    def keys(self, x: Array) -> Array:
        """The same, with the positions that windows reach before the first and behind the last query."""
        return self._pad(self._flat(x, jnp), reach(self.spatial_shape, self.window), self.key_positions)

    def from_queries(self, x: Array, shape: tuple[int, ...]) -> Array:
        """The inverse of `queries`, to an array of the given shape."""
        return self._unflat(x, 0, shape)

    def from_keys(self, blocks: Array, shape: tuple[int, ...]) -> Array:
        """The transpose of `keys` for what every block adds to its keys: `[block, pose, d, head, key of the block]`."""
        total = jnp.zeros((*blocks.shape[1:-1], self.key_positions), blocks.dtype)

        def add(block, total):
            before = jax.lax.dynamic_slice_in_dim(total, block * self.block, self.key_block, axis=-1)
            return jax.lax.dynamic_update_slice_in_dim(total, before + blocks[block], block * self.block, axis=-1)

        total = blocks[0] if self.blocks == 1 else jax.lax.fori_loop(0, self.blocks, add, total)
        return self._unflat(total, reach(self.spatial_shape, self.window), shape)

    def rows_and_columns(self) -> tuple[np.ndarray, np.ndarray]:
        """The row of each query position, and its index within the row; 0 on positions without a query."""
        index = np.indices((self.spatial_shape[0], math.prod(self.spatial_shape[1:])))
        row, column = (self._flat(x.reshape(1, *self.spatial_shape, 1, 1, 1), np).ravel() for x in index)
        empty = self.positions - len(row)
        return np.pad(row, (0, empty)), np.pad(column, (0, empty))

    @property
    def _pitches(self) -> tuple[int, ...]:
        return pitches(self.spatial_shape, self.window)

    def _flat(self, x, numpy):
        """`[pose, d, heads * batch, position]`, without the positions around the grid."""
        batch, (poses, heads, features), dim = x.shape[0], x.shape[-3:], len(self.spatial_shape)
        # Positions become one axis while channels are last: to merge rows of other lengths would copy the array twice.
        x = x.reshape(*x.shape[: dim + 1], -1)
        padding = [(0, pitch - side) for pitch, side in zip(self._pitches, self.spatial_shape, strict=True)]
        x = numpy.pad(x, [(0, 0), *padding, (0, 0)])
        x = x.reshape(batch, math.prod(self._pitches), poses, heads, features)
        return x.transpose(2, 4, 3, 0, 1).reshape(poses, features, heads * batch, -1)

    def _pad(self, x: Array, before: int, positions: int) -> Array:
        padding = [(0, 0), (0, 0), (0, -x.shape[2] % self.sublanes), (before, positions - before - x.shape[3])]
        return jnp.pad(x, padding)

    def _unflat(self, x: Array, before: int, shape: tuple[int, ...]) -> Array:
        batch, (poses, heads, features) = shape[0], shape[-3:]
        x = x[:, :, : batch * heads, before : before + math.prod(self._pitches)]
        x = x.reshape(poses, features, heads, batch, -1).transpose(3, 4, 0, 2, 1)
        x = x.reshape(batch, *self._pitches, poses * heads * features)
        return x[(slice(None), *(slice(side) for side in self.spatial_shape))].reshape(shape)


def pitches(spatial_shape: tuple[int, ...], window: Window) -> tuple[int, ...]:
    """The sides of the grid with the empty positions behind each row; the first axis needs none.

    The length of a row is a multiple of `SUBLANES`: then rows become one axis of positions without a copy.
    """
    first, *others = (
        side + width // 2 * (axis > 0)
        for axis, (side, width) in enumerate(zip(spatial_shape, window.shape, strict=True))
    )
    return (first, *others[:-1], *(length + -length % SUBLANES for length in others[-1:]))


def strides(spatial_shape: tuple[int, ...], window: Window) -> np.ndarray:
    """The distance between neighbours along each axis."""
    return np.cumprod([1, *pitches(spatial_shape, window)[:0:-1]])[::-1]


def reach(spatial_shape: tuple[int, ...], window: Window) -> int:
    """The largest distance between a query and a key."""
    radii = np.asarray(window.shape) // 2
    return int((radii * strides(spatial_shape, window)).sum())


def halo_lanes(spatial_shape: tuple[int, ...], window: Window) -> int:
    """What a block of keys has more than its block of queries: whole tiles, one of them to shift by less than a tile."""
    return 2 * reach(spatial_shape, window) // LANES * LANES + LANES

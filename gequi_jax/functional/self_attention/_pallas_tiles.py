"""What the kernels of the forward and the backward pass share: tiles of heads and positions, and scores.

A tile is `[sublanes, LANES]`: some heads, and as many query positions as a vector register has lanes. The axes before it
are d features and the poses a of the query and m of the key. The output poses g and the offsets j of the window are loops.
"""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.experimental import pallas as pl
from jax.experimental.pallas import tpu as pltpu

from gequi_jax._typing import Array
from gequi_jax.functional.self_attention._dropout import Dropout
from gequi_jax.functional.self_attention._pallas_layout import LANES


@dataclasses.dataclass(frozen=True)
class Sizes:
    """The sizes of the axes.

    Attributes:
      outputs, queries, keys: the numbers of output, query and key poses.
      outputs_per_pass: the output poses that share one evaluation of the content scores.
      offsets: the offsets of the window that take part.
      features, value_features: of the query and the key, and of the value.
      position_features, pose_features: the first and the last features of the query, which meet the encodings.
      chunks: the tiles of query positions in a block.
      sublanes: the heads of a tile.
      columns: the query positions that share a seed of dropout.
      unroll: whether loops over poses are unrolled, which gives the compiler of a TPU instructions to overlap.
    """

    outputs: int
    queries: int
    keys: int
    outputs_per_pass: int
    offsets: int
    features: int
    value_features: int
    position_features: int
    pose_features: int
    chunks: int
    sublanes: int
    columns: int
    unroll: bool

    @property
    def passes(self) -> int:
        """The number of groups of output poses."""
        return self.outputs // self.outputs_per_pass


class Inputs(NamedTuple):
    """What both kernels read: the arrays, and inside a kernel the references to a block of each.

    Attributes:
      offsets: the distances `[j]` of the offsets from the first key, then their indices `[j]` in the window.
      position_encoding, pose_encoding: scalars, `[g, j, d]` and `[g, a, m, d]` flattened.
      outside: `[sublanes, key positions]`, -inf where there is no key.
      query, key, value: `[pose, d, heads, positions]`.
      dropped: for dropout the seeds `[g, heads, positions]` and the columns `[sublanes, positions]`, or nothing.
    """

    offsets: Any
    position_encoding: Any
    pose_encoding: Any
    outside: Any
    query: Any
    key: Any
    value: Any
    dropped: tuple[Any, ...]


class Scratch(NamedTuple):
    """The references to scores: of content, `[a, m, tile]`, and of pose, `[g of a pass, a, m, tile]`."""

    content: Any
    pose: Any


@dataclasses.dataclass(frozen=True)
class Tile:
    """The work on one tile of query positions."""

    sizes: Sizes
    dropout: Dropout
    inputs: Inputs
    scratch: Scratch
    chunk: Array

    @property
    def dtype(self) -> jnp.dtype:
        """The type of the scores."""
        return self.scratch.content.dtype

    def repeat(self, count: int, body: Callable[[Any, Any], Any], carry: Any = None) -> Any:
        """A loop over poses."""
        return jax.lax.fori_loop(0, count, body, carry, unroll=self.sizes.unroll)

    @property
    def lanes(self) -> Any:
        """The positions of the tile among those of the block."""
        return pl.ds(pl.multiple_of(self.chunk * LANES, LANES), LANES)

    def shifted(self, ref: Any, offset: Array) -> Array:
        """The entries of keys at an offset from the queries of the tile."""
        first, rest = self._aligned(offset)
        two_tiles = ref[..., first].astype(self.dtype)
        # Loads start at a multiple of the lanes; a rotation by the rest follows.
        return pltpu.roll(two_tiles, (2 * LANES - rest) & (2 * LANES - 1), two_tiles.ndim - 1)[..., :LANES]

    def add_shifted(self, ref: Any, offset: Array, x: Array) -> None:
        """The transpose of `shifted`: adds to the entries of keys."""
        first, rest = self._aligned(offset)
        two_tiles = jnp.concatenate([x, jnp.zeros_like(x)], axis=-1)
        ref[..., first] += pltpu.roll(two_tiles, rest, x.ndim - 1)

    def _aligned(self, offset: Array) -> tuple[Any, Array]:
        distance = self.inputs.offsets[offset]
        rest = distance & (LANES - 1)
        first = pl.multiple_of(self.chunk * LANES + distance - rest, LANES)
        return pl.ds(first, 2 * LANES), rest

    def write_content_scores(self, offset: Array) -> Array:
        """Writes q[a] . key[m], -inf where there is no key, for one offset; returns the keys `[m, d, tile]`."""
        key = self.shifted(self.inputs.key, offset)
        outside = self.shifted(self.inputs.outside, offset)

        def write(a, _):
            products = self.query(a)[None] * key
            self.scratch.content[a] = products.sum(axis=1) + outside[None]

        self.repeat(self.sizes.queries, write)
        return key

    def write_pose_scores(self, first_output: Array) -> None:
        """Writes q[a] . tau_g[a, m] for the output poses of a pass."""
        sizes = self.sizes

        def write(g, a):
            query = self.query(a)[sizes.features - sizes.pose_features :]

            def of_key(m, _):
                self.scratch.pose[g, a, m] = _product(self.pose_encoding(first_output + g, a, m), query)

            self.repeat(sizes.keys, of_key)

        self.for_each_query(write)

    def scores(self, first_output: Array, g: Array, a: Array, offset: Array) -> Array:
        """The scores `[m, tile]` of one output pose, query pose and offset."""
        place = _product(self.position_encoding(first_output + g, offset), self.query(a))
        return self.scratch.content[a] + self.scratch.pose[g, a] + place[None]

    def for_each_query(self, body: Callable[[Array, Array], None]) -> None:
        """`body(g, a)` for the output poses g of a pass and all query poses a."""

        def each_output(g, _):
            self.repeat(self.sizes.queries, lambda a, _: body(g, a))

        jax.lax.fori_loop(0, self.sizes.outputs_per_pass, each_output, None)

    def query(self, a: Array) -> Array:
        """The queries `[d, tile]` of one pose."""
        return self.inputs.query[a, :, :, self.lanes].astype(self.dtype)

    def position_encoding(self, output: Array, offset: Array) -> list[Array]:
        """The scalars rho_g[j]."""
        first = (output * self.sizes.offsets + offset) * self.sizes.position_features
        return [self.inputs.position_encoding[first + d] for d in range(self.sizes.position_features)]

    def pose_encoding(self, output: Array, a: Array, m: Array) -> list[Array]:
        """The scalars tau_g[a, m]."""
        sizes = self.sizes
        first = ((output * sizes.queries + a) * sizes.keys + m) * sizes.pose_features
        return [self.inputs.pose_encoding[first + d] for d in range(sizes.pose_features)]

    def drop(self, output: Array, offset: Array) -> Callable[[Array], Array]:
        """Dropout of the attention `[m, tile]` of one output pose and offset."""
        if not self.inputs.dropped:
            return lambda attention: attention
        seeds, columns = self.inputs.dropped
        sizes, shape = self.sizes, (self.sizes.keys, self.sizes.sublanes, LANES)
        first_key = self.inputs.offsets[sizes.offsets + offset] * sizes.keys
        keys = jax.lax.broadcasted_iota(jnp.int32, shape, 0) + first_key
        index = (keys * sizes.columns + columns[:, self.lanes][None]).astype(jnp.uint32)
        mask = self.dropout.keeps(seeds[output, :, self.lanes][None], index)
        return lambda attention: self.dropout.scaled(attention, mask)


def _product(scalars: list[Array], features: Array) -> Array:
    """The sum of scalar times feature, `[tile]`."""
    total = jnp.zeros(features.shape[1:], features.dtype)
    for d, scalar in enumerate(scalars):
        total = total + scalar * features[d]
    return total

"""The kernel of the backward pass: two loops over the offsets of the window, which compute the weights again.

With the weights w of the forward pass and the gradient G[g; m, j] of the attention to each key, the gradient of a score is
w (G - mean), where the mean is that of G under the weights of the query. The first loop sums the mean and the gradient of
the values; the second sums the gradients of queries, keys and encodings.
"""

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gequi_jax._typing import Array
from gequi_jax.functional.self_attention._pallas_forward import softmax
from gequi_jax.functional.self_attention._pallas_layout import LANES
from gequi_jax.functional.self_attention._pallas_tiles import Tile


class Residuals(NamedTuple):
    """What the backward pass reads besides the inputs.

    Attributes:
      largest, inverse_total: the statistics of the forward pass, `[g, a, heads, positions]`.
      out: the gradient of the output, `[g, d, heads, positions]`.
    """

    largest: Any
    inverse_total: Any
    out: Any


class Gradients(NamedTuple):
    """What the backward pass writes.

    Attributes:
      query: `[a, d, heads, positions]`.
      key, value: what each block of queries adds to its keys, `[block, m, d, heads, key positions of the block]`.
      position_encoding: `[g, j, d, lanes]`, of all programs together.
      pose_encoding: `[g, a, m, d]`, of all programs together.
    """

    query: Any
    key: Any
    value: Any
    position_encoding: Any
    pose_encoding: Any


class ScoreGradients(NamedTuple):
    """Scratch: the gradients of the scores, in the shapes of `Scratch`, and the means `[g of a pass, a, tile]`."""

    content: Any
    pose: Any
    mean: Any


@dataclasses.dataclass(frozen=True)
class BackwardTile:
    """The backward pass of one tile of query positions, for some output poses."""

    tile: Tile
    residuals: Residuals
    gradients: Gradients
    scores: ScoreGradients
    first: Any  # the first of the output poses

    def add_to_mean_and_value(self, offset: Array, _: None) -> None:
        """The mean of the gradient of the attention, and the gradient of the values, from one offset."""
        tile = self.tile
        tile.write_content_scores(offset)
        value = tile.shifted(tile.inputs.value, offset)

        def add_output(g, to_value):
            drop, out = tile.drop(self.first + g, offset), self._out_gradient(g)
            gradient = drop((out[None] * value).sum(axis=1))

            def add_query(a, attention):
                weights = self._weights(g, a, offset)
                self.scores.mean[g, a] += (weights * gradient).sum(axis=0)
                return attention + weights

            attention = drop(tile.repeat(tile.sizes.queries, add_query, jnp.zeros_like(gradient)))
            return to_value + attention[:, None] * out[None]

        to_value = tile.repeat(tile.sizes.outputs_per_pass, add_output, jnp.zeros_like(value))
        tile.add_shifted(self.gradients.value, offset, to_value)

    def add_to_scores(self, offset: Array, _: None) -> None:
        """The gradients of the scores of one offset, and what follows from those of content and place."""
        tile = self.tile
        key = tile.write_content_scores(offset)
        value = tile.shifted(tile.inputs.value, offset)
        self.scores.content[...] = jnp.zeros_like(self.scores.content)

        def add_content(a, to_key):
            scores = self.scores.content[a]
            self.gradients.query[a, :, :, tile.lanes] += (scores[:, None] * key).sum(axis=0)
            return to_key + scores[:, None] * tile.query(a)[None]

        tile.repeat(tile.sizes.outputs_per_pass, lambda g, _: self._add_scores_of_output(g, offset, value))
        tile.add_shifted(self.gradients.key, offset, tile.repeat(tile.sizes.queries, add_content, jnp.zeros_like(key)))

    def add_pose_scores(self) -> None:
        """What follows from the gradient of the pose scores."""
        tile, sizes, first_feature = (
            self.tile,
            self.tile.sizes,
            self.tile.sizes.features - self.tile.sizes.pose_features,
        )

        def add(g, a):
            query = tile.query(a)[first_feature:]
            self.gradients.pose_encoding[self.first + g, a] += _products_over_tile(self.scores.pose[g, a], query)

            def add_key(m, _):
                for d, scalar in enumerate(tile.pose_encoding(self.first + g, a, m)):
                    self.gradients.query[a, first_feature + d, :, tile.lanes] += scalar * self.scores.pose[g, a, m]

            tile.repeat(sizes.keys, add_key)

        tile.for_each_query(add)

    def _add_scores_of_output(self, g: Array, offset: Array, value: Array) -> None:
        tile, output = self.tile, self.first + g
        attention = tile.drop(output, offset)((self._out_gradient(g)[None] * value).sum(axis=1))
        encoding = tile.position_encoding(output, offset)

        def add_query(a, to_encoding):
            scores = self._weights(g, a, offset) * (attention - self.scores.mean[g, a][None])
            self.scores.content[a] += scores
            self.scores.pose[g, a] += scores
            place = scores.sum(axis=0)
            for d, scalar in enumerate(encoding):
                self.gradients.query[a, d, :, tile.lanes] += scalar * place
            return to_encoding + place[None] * tile.query(a)[: len(encoding)]

        nothing = jnp.zeros((len(encoding), *value.shape[2:]), value.dtype)
        to_encoding = tile.repeat(tile.sizes.queries, add_query, nothing)
        self.gradients.position_encoding[output, offset] += _sum_over_sublanes(to_encoding)

    def _out_gradient(self, g: Array) -> Array:
        return self.residuals.out[self.first + g, :, :, self.tile.lanes].astype(self.tile.dtype)

    def _weights(self, g: Array, a: Array, offset: Array) -> Array:
        return softmax(self.tile, self.residuals.largest, self.residuals.inverse_total, self.first, g, a, offset)


def differentiate_tile(tile: Tile, residuals: Residuals, gradients: Gradients, scores: ScoreGradients) -> None:
    """Adds the gradients that one tile of query positions contributes."""

    def differentiate_pass(index, _):
        work = BackwardTile(tile, residuals, gradients, scores, index * tile.sizes.outputs_per_pass)
        tile.write_pose_scores(work.first)
        scores.mean[...] = jnp.zeros_like(scores.mean)
        scores.pose[...] = jnp.zeros_like(scores.pose)
        jax.lax.fori_loop(0, tile.sizes.offsets, work.add_to_mean_and_value, None)
        jax.lax.fori_loop(0, tile.sizes.offsets, work.add_to_scores, None)
        work.add_pose_scores()

    jax.lax.fori_loop(0, tile.sizes.passes, differentiate_pass, None)


def _sum_over_sublanes(x: Array) -> Array:
    """`[d, lanes]` from `[d, tile]`, as a product with zeros and ones."""
    features, sublanes, _ = x.shape
    return _dot(_groups((features, features * sublanes), sublanes, 1).astype(x.dtype), x.reshape(-1, LANES), (1, 0))


def _products_over_tile(x: Array, y: Array) -> Array:
    """`[m, d]` from `[m, tile]` and `[d, tile]`: sums over all entries of the tile."""
    (keys, sublanes, _), features = x.shape, y.shape[0]
    products = _dot(x.reshape(-1, LANES), y.reshape(-1, LANES), (1, 1))  # [m sublane, d sublane]
    row, column = (jax.lax.broadcasted_iota(jnp.int32, products.shape, axis) & (sublanes - 1) for axis in (0, 1))
    products = jnp.where(row == column, products, 0.0)
    of_feature = _groups((features * sublanes, features), sublanes, 0).astype(x.dtype)
    return _dot(products, of_feature, (1, 0)).reshape(keys, sublanes, features).sum(axis=1)


def _groups(shape: tuple[int, int], size: int, axis: int) -> Array:
    """True where an index along one axis, counted in groups of a size, is the index along the other."""
    index = jax.lax.broadcasted_iota(jnp.int32, shape, axis)
    return index >> (size.bit_length() - 1) == jax.lax.broadcasted_iota(jnp.int32, shape, 1 - axis)


def _dot(x: Array, y: Array, contract: tuple[int, int]) -> Array:
    dimensions = (((contract[0],), (contract[1],)), ((), ()))
    return jax.lax.dot_general(x, y, dimensions, precision=jax.lax.Precision.HIGHEST, preferred_element_type=x.dtype)

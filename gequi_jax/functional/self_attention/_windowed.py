"""Self-attention in windows: for some rows of one head, one output pose at a time, with a backward pass of its own.

A score of output pose g is content, which all g share, plus place and pose, which are small:

    s_g[k, a] = q[a] . key[k]  +  q[a] . rho_g[j]  +  q[a] . tau_g[a, m],          key k = offset j with pose m

So the content is made once, and a loop over g holds |H|^2 window scores for each query position in place of |H|^3. The
forward pass keeps the largest score and the normaliser of each query; from them the backward pass makes the weights
again. Neither adds arrays that grow faster than |H|^2.
"""

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from gequi_jax._typing import Array
from gequi_jax.functional.self_attention import _stages as stages
from gequi_jax.functional.self_attention._reference import drop, local_dropout_keys, wide_type

# Scores of one output pose in one step: a CPU wants them in its cache, an accelerator wants to be filled.
_SCORES_PER_STEP = {"cpu": 2**19, "tpu": 2**25}
_SCORES_PER_STEP_GPU = 2**27


def attend_locally(
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
    """Attention to a window around each query; arguments and result are those of the reference."""
    spatial_shape, (poses, heads) = query.shape[1:-3], query.shape[-3:-1]
    batch, group = query.shape[0], position_encoding.shape[0]
    scores_per_row = window_mask.size * poses**2 * math.prod(spatial_shape[1:])
    rows, heads_per_step = block_sizes(spatial_shape[0], batch * heads, scores_per_row)
    valid = _valid_keys(spatial_shape, window_shape, window_mask)  # [j, p]
    valid = np.moveaxis(valid.reshape(len(valid), spatial_shape[0] // rows, -1), 1, 0)
    keys = None
    if dropout_key is not None:
        keys = local_dropout_keys(dropout_key, batch, heads, group, spatial_shape[0])
        keys = keys.reshape(batch * heads, group, spatial_shape[0] // rows, rows).swapaxes(1, 2)
    if pose_encoding is None:
        pose_encoding = jnp.zeros((group, poses, poses, 0), query.dtype)
    head = _Head(window_shape, valid, dropout_rate)

    def map_heads(function: Callable, *per_head):
        """Over all heads of all samples, some at a time."""
        split = jax.tree.map(lambda x: x.reshape(-1, heads_per_step, *x.shape[1:]), per_head)
        out = jax.lax.map(lambda arrays: jax.vmap(function)(*arrays), split)
        return jax.tree.map(lambda x: x.reshape(batch * heads, *x.shape[2:]), out)

    def forward(query, key, value, position_encoding, pose_encoding, keys):
        arrays = (_heads_first(x) for x in (query, key, value))
        out, statistics = map_heads(
            lambda query, key, value, keys: head.forward(query, key, value, position_encoding, pose_encoding, keys),
            *arrays,
            keys,
        )
        out = _heads_last(out, (*query.shape[:-3], group, heads, value.shape[-1]))
        return out.astype(value.dtype), (query, key, value, position_encoding, pose_encoding, keys, statistics)

    def backward(residuals, out_gradient):
        *operands, keys, statistics = residuals
        query, key, value, *encodings = operands
        arrays = (_heads_first(x) for x in (query, key, value, out_gradient))
        gradients = map_heads(
            lambda query, key, value, out_gradient, keys, statistics: head.backward(
                query, key, value, *encodings, keys, out_gradient, statistics
            ),
            *arrays,
            keys,
            statistics,
        )
        gradients = (
            *(_heads_last(gradient, x.shape) for gradient, x in zip(gradients[:3], operands[:3], strict=True)),
            *(gradient.sum(axis=0) for gradient in gradients[3:]),
        )
        return *(gradient.astype(x.dtype) for gradient, x in zip(gradients, operands, strict=True)), None

    attend = jax.custom_vjp(lambda *operands: forward(*operands)[0])
    attend.defvjp(forward, backward)
    return attend(query, key, value, position_encoding, pose_encoding, keys)


def block_sizes(rows: int, heads: int, scores_per_row: int) -> tuple[int, int]:
    """How many rows, and if all of them fit how many heads of all samples, are worked on together."""
    fitting = scores_per_step() // scores_per_row
    return _largest_divisor(rows, fitting), _largest_divisor(heads, fitting // rows)


def scores_per_step() -> int:
    """How many scores are made at a time on the default backend."""
    return _SCORES_PER_STEP.get(jax.default_backend(), _SCORES_PER_STEP_GPU)


class _Head:
    """Forward and backward pass of one head of one sample.

    Arrays of the head are `[pose, d, *spatial]`; the encodings `[g, j, d]` and `[g, a, m, d]`; dropout has a key for each
    block of rows, pose and row. The backward pass takes the same arrays, the gradient of the output and the statistics
    that the forward pass returned with it.
    """

    def __init__(self, window_shape: tuple[int, ...], valid: np.ndarray, dropout_rate: float):
        self.window_shape = window_shape
        self.valid = valid  # [block, j, p]
        self.dropout_rate = dropout_rate

    def forward(self, query, key, value, position_encoding, pose_encoding, keys):
        query, key, value, position_encoding, pose_encoding = _widened(
            query, key, value, position_encoding, pose_encoding
        )
        key, value = self._pad(key), self._pad(value)

        def attend_rows(_, block):
            first_row, query, valid, keys = block
            content = stages.content_scores(query, self._windows(key, first_row), valid)
            value_windows = self._windows(value, first_row)
            tail = self._pose_part(query, pose_encoding)

            def attend_pose(_, inputs):
                position_encoding, pose_encoding, keys = inputs
                place, pose = stages.place_scores(query, position_encoding), stages.pose_scores(tail, pose_encoding)
                scores = stages.sum_of_scores(content, place, pose)
                largest = stages.largest(scores)
                weights = stages.exponentials(scores, largest)
                inverse = stages.inverse_of_total(weights)
                attention = self._drop(stages.sum_over_queries(weights, inverse), keys)
                out = stages.sum_over_offsets(stages.products_with_values(attention, value_windows))
                return None, (out, (largest, inverse))

            return None, jax.lax.scan(attend_pose, None, (position_encoding, pose_encoding, keys))[1]

        blocks = (self._first_rows(query), self._split(query), jnp.asarray(self.valid), keys)
        out, statistics = jax.lax.scan(attend_rows, None, blocks)[1]
        return _join(out), statistics

    def backward(self, query, key, value, position_encoding, pose_encoding, keys, out_gradient, statistics):
        query, key, value, position_encoding, pose_encoding, out_gradient = _widened(
            query, key, value, position_encoding, pose_encoding, out_gradient
        )
        key, value = self._pad(key), self._pad(value)
        place_features = position_encoding.shape[-1]

        def differentiate_rows(sums, block):
            first_row, query, out_gradient, valid, keys, statistics = block
            key_windows, value_windows = self._windows(key, first_row), self._windows(value, first_row)
            content = stages.content_scores(query, key_windows, valid)
            tail = self._pose_part(query, pose_encoding)

            def differentiate_pose(content_gradient, inputs):
                position_encoding, pose_encoding, keys, out_gradient, (largest, inverse) = inputs
                place, pose = stages.place_scores(query, position_encoding), stages.pose_scores(tail, pose_encoding)
                weights = stages.softmax(content, place, pose, largest, inverse)
                attention = stages.sum_over_queries(weights, jnp.ones_like(inverse))
                gradient = self._drop(stages.attention_gradient(out_gradient, value_windows, attention), keys)
                scores = stages.score_gradient(weights, gradient, stages.mean_gradient(weights, gradient))
                by_place, by_pose = stages.sum_over_key_poses(scores), stages.sum_over_offsets(scores)
                return stages.add(content_gradient, scores), (
                    self._drop(attention, keys),
                    jnp.einsum("jap,jd->adp", by_place, position_encoding),
                    jnp.einsum("map,amd->adp", by_pose, pose_encoding),
                    jnp.einsum("jap,adp->jd", by_place, query[:, :place_features]),
                    jnp.einsum("map,adp->amd", by_pose, tail),
                )

            content_gradient, (attention, by_place, by_pose, *to_encodings) = jax.lax.scan(
                differentiate_pose,
                jnp.zeros_like(content),
                (position_encoding, pose_encoding, keys, out_gradient, statistics),
            )
            to_query = stages.sum_over_offsets(stages.products_with_keys(content_gradient, key_windows))
            to_query = to_query.at[:, :place_features].add(by_place.sum(axis=0))
            to_query = to_query.at[:, to_query.shape[1] - by_pose.shape[2] :].add(by_pose.sum(axis=0))
            content_gradient = jnp.moveaxis(content_gradient, 2, 0)
            to_key = self._sum_of_windows(stages.products_with_queries(_merge_keys(content_gradient), query), key)
            to_value = self._sum_of_windows(stages.products_with_queries(_merge_keys(attention), out_gradient), value)
            sums = (
                _add_rows(sums[0], to_key, first_row),
                _add_rows(sums[1], to_value, first_row),
                *(total + term for total, term in zip(sums[2:], to_encodings, strict=True)),
            )
            return sums, to_query

        blocks = (
            self._first_rows(query),
            self._split(query),
            self._split(out_gradient),
            jnp.asarray(self.valid),
            keys,
            statistics,
        )
        zeros = tuple(jnp.zeros_like(x) for x in (key, value, position_encoding, pose_encoding))
        (to_key, to_value, *to_encodings), to_query = jax.lax.scan(differentiate_rows, zeros, blocks)
        return _join(to_query).reshape(query.shape), self._crop(to_key), self._crop(to_value), *to_encodings

    def _drop(self, attention: Array, keys: Array | None) -> Array:
        return attention if keys is None else drop(attention, keys, self.dropout_rate)

    def _first_rows(self, x: Array) -> Array:
        return jnp.arange(0, x.shape[2], x.shape[2] // len(self.valid))

    def _split(self, x: Array) -> Array:
        """The blocks of rows of `[pose, d, *spatial]`: `[block, pose, d, p]`."""
        return jnp.moveaxis(x.reshape(*x.shape[:2], len(self.valid), -1), 2, 0)

    def _pose_part(self, query: Array, pose_encoding: Array) -> Array:
        return query[:, query.shape[1] - pose_encoding.shape[-1] :]

    def _pad(self, x: Array) -> Array:
        return jnp.pad(x, [(0, 0), (0, 0), *((side // 2, side // 2) for side in self.window_shape)])

    def _crop(self, x: Array) -> Array:
        radii = [side // 2 for side in self.window_shape]
        return x[:, :, *(slice(radius, length - radius) for radius, length in zip(radii, x.shape[2:], strict=True))]

    def _windows(self, x: Array, first_row: Array) -> Array:
        rows = (x.shape[2] - self.window_shape[0] + 1) // len(self.valid)
        part = jax.lax.dynamic_slice_in_dim(x, first_row, rows + self.window_shape[0] - 1, axis=2)
        return stages.windows(part, window_shape=self.window_shape)

    def _sum_of_windows(self, windows: Array, padded: Array) -> Array:
        rows, *columns = (length - side + 1 for length, side in zip(padded.shape[2:], self.window_shape, strict=True))
        spatial_shape = (rows // len(self.valid), *columns)
        return stages.sum_of_windows(windows, window_shape=self.window_shape, spatial_shape=spatial_shape)


def _merge_keys(x: Array) -> Array:
    """`[a, k, p]` from `[a, j, m, p]`."""
    return x.reshape(x.shape[0], -1, x.shape[-1])


def _join(blocks: Array) -> Array:
    """The blocks of rows `[block, pose, d, p]` side by side: `[pose, d, positions]`."""
    return jnp.moveaxis(blocks, 0, 2).reshape(*blocks.shape[1:3], -1)


def _add_rows(total: Array, rows: Array, first_row: Array) -> Array:
    before = jax.lax.dynamic_slice_in_dim(total, first_row, rows.shape[2], axis=2)
    return jax.lax.dynamic_update_slice_in_dim(total, before + rows, first_row, axis=2)


def _widened(query: Array, *others: Array) -> list[Array]:
    return [x.astype(wide_type(query)) for x in (query, *others)]


def _heads_first(x: Array) -> Array:
    """`[batch * heads, pose, d, *spatial]` from `[batch, *spatial, pose, heads, d]`."""
    x = jnp.moveaxis(x, (-2, -3, -1), (1, 2, 3))
    return x.reshape(x.shape[0] * x.shape[1], *x.shape[2:])


def _heads_last(x: Array, shape: tuple[int, ...]) -> Array:
    """The inverse of `_heads_first`, for any way the spatial axes are flattened."""
    *spatial, poses, heads, features = shape[1:]
    x = x.reshape(shape[0], heads, poses, features, *spatial)
    return jnp.moveaxis(x, (1, 2, 3), (-2, -3, -1))


def _valid_keys(spatial_shape: tuple[int, ...], window_shape: tuple[int, ...], window_mask: np.ndarray) -> np.ndarray:
    """Which keys of a window exist and are not masked, `[j, p]`."""
    inside = np.pad(np.ones(spatial_shape, bool), [(side // 2, side // 2) for side in window_shape])
    around = np.lib.stride_tricks.sliding_window_view(inside, window_shape)
    return around.reshape(math.prod(spatial_shape), -1).T & window_mask[:, None]


def _largest_divisor(number: int, limit: int) -> int:
    return max(size for size in range(1, number + 1) if number % size == 0 and size <= max(limit, 1))

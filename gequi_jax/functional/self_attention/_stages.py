"""The arithmetic of windowed self-attention for one head and one output pose: elementwise products and sums.

Accelerators replace some stages by those of `_fused_stages`.

Query positions are the last axis of every array. All sums run over the axes before it, the innermost loops become vector
instructions, and nothing is transposed. Axes: p query positions, j offsets of the window, k = (j, m) keys in the window,
d features, and the poses a of the query and m of the key.
"""

import functools
import operator
from collections.abc import Iterable

import jax
import jax.numpy as jnp

from gequi_jax._typing import Array


def _sum(terms: Iterable[Array], *start: Array) -> Array:
    # Written out: a reduction inside a fusion is a scalar loop on a CPU.
    return functools.reduce(operator.add, terms, *start)


def windows(x: Array, *, window_shape: tuple[int, ...]) -> Array:
    """The windows `[k, d, *spatial]` of an array `[m, d, *padded]` whose spatial axes are padded by the window's radii."""
    dim = len(window_shape)
    # One axis at a time: dim * side slices make side^dim offsets. The last axis comes first, while the array is small:
    # slices of the others copy whole rows.
    for axis in reversed(range(dim)):
        spatial_axis, side = 2 + axis, window_shape[axis]
        length = x.shape[spatial_axis] - side + 1
        slices = [jax.lax.slice_in_dim(x, start, start + length, axis=spatial_axis) for start in range(side)]
        x = jnp.concatenate(slices, axis=0)
    return x


def sum_of_windows(x: Array, *, window_shape: tuple[int, ...]) -> Array:
    """The transpose of `windows`: for each padded position the sum of all entries of windows that lie on it."""
    for axis, side in enumerate(window_shape, start=2):
        length = x.shape[axis] + side - 1
        x = jnp.pad(x, [(side - 1, side - 1) if other == axis else (0, 0) for other in range(x.ndim)])
        x = _sum(
            jax.lax.slice_in_dim(part, side - 1 - start, side - 1 - start + length, axis=axis)
            for start, part in enumerate(jnp.split(x, side))
        )
    return x


def content_scores(query: Array, key_windows: Array, valid: Array) -> Array:
    """q[a] . key[k], -inf where a key does not exist: `[j, m, a, p]` from `[a, d, p]`, `[k, d, p]` and `[j, p]`."""
    products = _sum(query[None, :, i] * key_windows[:, None, i] for i in range(query.shape[1]))
    return jnp.where(valid[:, None, None], products.reshape(len(valid), -1, *products.shape[1:]), -jnp.inf)


def place_scores(query: Array, position_encoding: Array) -> Array:
    """q[a] . rho[j]: `[j, a, p]` from `[a, d, p]` and `[j, d]`."""
    none = jnp.zeros((position_encoding.shape[0], query.shape[0], query.shape[2]), query.dtype)
    products = (position_encoding[:, i, None, None] * query[None, :, i] for i in range(position_encoding.shape[1]))
    return _sum(products, none)


def pose_scores(query: Array, pose_encoding: Array) -> Array:
    """q[a] . tau[a, m]: `[m, a, p]` from `[a, d, p]` and `[a, m, d]`."""
    by_key = pose_encoding.swapaxes(0, 1)[..., None]
    none = jnp.zeros((*by_key.shape[:2], query.shape[2]), query.dtype)
    return _sum((by_key[:, :, i] * query[None, :, i] for i in range(pose_encoding.shape[2])), none)


def sum_of_scores(content: Array, place: Array, pose: Array) -> Array:
    """The scores `[j, m, a, p]` of one output pose."""
    return content + place[:, None] + pose[None]


def largest(scores: Array) -> Array:
    """The largest score of each query, `[a, p]`; 0 for a query without a single valid key, whose weights are then 0."""
    maximum = scores.max(axis=(0, 1))
    return jnp.where(jnp.isfinite(maximum), maximum, 0.0)


def exponentials(scores: Array, largest: Array) -> Array:
    """The weights before normalisation, `[j, m, a, p]`."""
    return jnp.exp(scores - largest[None, None])


def inverse_of_total(weights: Array) -> Array:
    """1 / the sum over all keys, `[a, p]`."""
    total = weights.sum(axis=(0, 1))
    return 1.0 / jnp.where(total > 0, total, 1.0)


def softmax(content: Array, place: Array, pose: Array, largest: Array, inverse: Array) -> Array:
    """The weights `[j, m, a, p]`, from the largest score and the inverse total of the forward pass."""
    return jnp.exp(content + place[:, None] + pose[None] - largest[None, None]) * inverse[None, None]


def sum_over_queries(weights: Array, factors: Array) -> Array:
    """The attention paid to each key, `[j, m, p]`: the weights of all query poses, times a factor `[a, p]`."""
    return _sum(weights[:, :, a] * factors[None, None, a] for a in range(factors.shape[0]))


def products_with_values(attention: Array, value_windows: Array) -> Array:
    """The output of each offset, `[j, d, p]`: a sum over the poses of the key."""
    by_offset = value_windows.reshape(*attention.shape[:2], *value_windows.shape[1:])
    return _sum(attention[:, m, None] * by_offset[:, m] for m in range(attention.shape[1]))


def sum_over_offsets(x: Array) -> Array:
    """The sum over the first axis. By itself: fused with a product it would not be vectorised."""
    return x.sum(axis=0)


def attention_gradient(out_gradient: Array, value_windows: Array, attention: Array) -> Array:
    """The gradient of the attention paid to each key: `[j, m, p]` from `[d, p]` and `[k, d, p]`."""
    products = _sum(out_gradient[None, i] * value_windows[:, i] for i in range(out_gradient.shape[0]))
    return products.reshape(attention.shape)


def mean_gradient(weights: Array, attention_gradient: Array) -> Array:
    """The mean of that gradient under the weights of each query, `[a, p]`."""
    return (weights * attention_gradient[:, :, None]).sum(axis=(0, 1))


def score_gradient(weights: Array, attention_gradient: Array, mean: Array) -> Array:
    """The gradient of the scores, `[j, m, a, p]`."""
    return weights * (attention_gradient[:, :, None] - mean[None, None])


def add(x: Array, y: Array) -> Array:
    """The sum of two arrays."""
    return x + y


def sum_over_key_poses(x: Array) -> Array:
    """`[j, a, p]` from `[j, m, a, p]`."""
    return _sum(x[:, m] for m in range(x.shape[1]))


def products_with_keys(content_gradient: Array, key_windows: Array) -> Array:
    """The gradient of the queries from each offset, `[j, a, d, p]`: a sum over the poses of the key."""
    by_offset = key_windows.reshape(*content_gradient.shape[:2], *key_windows.shape[1:])
    poses = range(content_gradient.shape[1])
    return _sum(content_gradient[:, m, :, None] * by_offset[:, m, None] for m in poses)


def products_with_queries(x: Array, query: Array) -> Array:
    """The gradient of every key (or value) in a window, `[k, d, p]`, from `[a, k, p]` and `[a, d, p]`."""
    return _sum(x[a, :, None] * query[a, None] for a in range(query.shape[0]))

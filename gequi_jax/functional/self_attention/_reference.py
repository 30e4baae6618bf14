"""Self-attention as the equations have it, with all scores at once: what faster forms are compared with.

Dimension names in the einsums: p query positions, j window or key positions, h heads, d features, and the poses g of the
output, a of the query and m of the key.
"""

import math

import jax
import jax.numpy as jnp
import numpy as np

from gequi_jax._typing import Array
from gequi_jax.actions import relative_positions


def reference_locally(
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
    """Attention to a window around each query.

    Args:
      query, key, value: `[batch, *spatial, pose, heads, features]`, the query already scaled.
      position_encoding: `[group, window, position_features]`.
      pose_encoding: `[group, query, key, pose_features]` or None.
      window_shape: odd sides.
      window_mask: which of the flattened window takes part.
      dropout_rate, dropout_key: dropout of attention weights; no key means none.

    Returns:
      `[batch, *spatial, group, heads, features]`.
    """
    dim, spatial_shape = len(window_shape), query.shape[1:-3]
    positions = math.prod(spatial_shape)
    inside = windows(jnp.ones(spatial_shape, bool), window_shape)

    def attend_sample(query, key, value, keys):
        kept = None
        if keys is not None:  # [heads, group, rows] to [p, h, g, m, j]
            shape = (window_mask.size, key.shape[-3], positions)
            mask = jax.vmap(jax.vmap(lambda keys: keep(keys, shape, dropout_rate)))(keys)
            kept = mask.transpose(4, 0, 1, 3, 2)
        out = attend(
            query.reshape(positions, *query.shape[dim:]),
            windows(key, window_shape),
            windows(value, window_shape),
            inside & jnp.asarray(window_mask)[None],
            position_encoding,
            pose_encoding,
            kept,
            dropout_rate,
        )
        return out.reshape(*spatial_shape, *out.shape[1:])

    keys = None
    if dropout_key is not None:
        keys = local_dropout_keys(
            dropout_key, query.shape[0], query.shape[-2], position_encoding.shape[0], spatial_shape[0]
        )
    return jax.vmap(attend_sample)(query, key, value, keys)


def reference_globally(
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
    """Attention to every position, with the window of all relative offsets, `2 side - 1`; else as `reference_locally`."""
    spatial_shape = query.shape[1:-3]
    _, offset_index = relative_positions(spatial_shape)  # [query position, key position]
    flat = [x.reshape(x.shape[0], -1, *x.shape[-3:]) for x in (query, key, value)]

    def attend_sample(query, key, value, keys):
        return attend_at(
            offset_index, query, key, value, position_encoding, pose_encoding, window_mask, keys, dropout_rate
        )

    keys = None if dropout_key is None else jax.random.split(dropout_key, (query.shape[0], len(offset_index)))
    out = jax.vmap(attend_sample)(*flat, keys)
    return out.reshape(out.shape[0], *spatial_shape, *out.shape[2:])


def attend_at(
    offsets: Array | np.ndarray,
    query: Array,
    key: Array,
    value: Array,
    position_encoding: Array,
    pose_encoding: Array | None,
    window_mask: np.ndarray,
    keys: Array | None,
    dropout_rate: float,
) -> Array:
    """Global attention of some query positions `[p, a, h, d]` to all keys `[j, m, h, d]`.

    Args:
      offsets: `[p, j]`, which of the relative offsets lies between a query and a key.
      keys: for dropout, one for each query position, or None.
      query, key, value, position_encoding, pose_encoding, window_mask, dropout_rate: as in `reference_globally`.
    """
    kept = None
    if keys is not None:
        shape = (query.shape[2], position_encoding.shape[0], key.shape[1], key.shape[0])
        kept = jax.vmap(lambda key: keep(key[None], shape, dropout_rate))(keys)
    return attend(
        query,
        key,
        value,
        jnp.asarray(window_mask)[offsets],
        jnp.take(position_encoding, offsets, axis=1),
        pose_encoding,
        kept,
        dropout_rate,
    )


def attend(
    query: Array,
    key: Array,
    value: Array,
    valid: Array,
    position_encoding: Array,
    pose_encoding: Array | None,
    kept: Array | None,
    dropout_rate: float,
) -> Array:
    """The equations of self-attention for a set of query positions.

    Args:
      query: `[p, a, h, d]`.
      key, value: the windows `[p, j, m, h, d]`, or `[j, m, h, d]` shared by all queries.
      valid: `[p, j]`, False where a key does not exist or is masked.
      position_encoding: `[g, j, d]`, or `[g, p, j, d]` where it differs between queries.
      pose_encoding: `[g, a, m, d]` or None.
      kept: `[p, h, g, m, j]`, False where dropout removes a weight, or None.
      dropout_rate: the fraction of attention weights to drop.

    Returns:
      `[p, g, h, d]`.
    """
    key_axes = "pjmhd" if key.ndim == 5 else "jmhd"
    place_axes = "gjd" if position_encoding.ndim == 3 else "gpjd"
    wide = wide_type(query)

    def scores_of(equation, *operands):
        return jnp.einsum(equation, *operands, preferred_element_type=wide)

    poses, keys = key.shape[-3], key.shape[-4]
    content = scores_of(f"pahd,{key_axes}->phamj", query, key)
    content = jnp.where(valid[:, None, None, None, :], content, -jnp.inf)
    place = scores_of(f"pahd,{place_axes}->phgaj", query[..., : position_encoding.shape[-1]], position_encoding)
    # m and j share one axis: XLA's CPU backend crashes on reductions of arrays of rank 7, which a batch would make of six.
    scores = content.reshape(*content.shape[:3], -1)[:, :, None] + jnp.tile(place, poses)  # [p, h, g, a, m j]
    if pose_encoding is not None:
        pose = scores_of("pahd,gamd->phgam", query[..., query.shape[-1] - pose_encoding.shape[-1] :], pose_encoding)
        scores = scores + jnp.repeat(pose, keys, axis=-1)
    largest = jax.lax.stop_gradient(scores.max(axis=-1, keepdims=True))
    # A query without a single valid key has only scores of -inf: its weights become 0, not NaN.
    weights = jnp.exp(scores - jnp.where(jnp.isfinite(largest), largest, 0.0))
    total = weights.sum(axis=-1, keepdims=True)
    attention = (weights / jnp.where(total > 0, total, 1.0)).sum(axis=3)
    attention = attention.reshape(*attention.shape[:-1], poses, keys)  # [p, h, g, m, j]
    if kept is not None:
        attention = scale_kept(attention, kept, dropout_rate)
    out = jnp.einsum(f"phgmj,{key_axes}->pghd", attention.astype(value.dtype), value, preferred_element_type=wide)
    return out.astype(value.dtype)


def wide_type(x: Array) -> jnp.dtype:
    """The type of the scores and the softmax: float32, or that of the array where it is wider."""
    return x.dtype if jnp.finfo(x.dtype).bits >= 32 else jnp.dtype(jnp.float32)


def local_dropout_keys(dropout_key: Array, batch: int, heads: int, group: int, rows: int) -> Array:
    """A key for each row, so that the mask does not depend on how the work is cut into blocks."""
    return jax.random.split(dropout_key, (batch, heads, group, rows))


def keep(keys: Array, shape: tuple[int, ...], rate: float) -> Array:
    """Which attention weights stay: a mask whose last axis is made in equal parts, one for each key."""
    part = (*shape[:-1], shape[-1] // keys.shape[0])
    # 16 random bits decide, at half the cost of 32.
    bits = jax.vmap(lambda key: jax.random.bits(key, part, jnp.uint16), out_axes=-2)(keys)
    return (bits >= _threshold(rate)).reshape(shape)


def scale_kept(attention: Array, kept: Array, rate: float) -> Array:
    """Attention with the dropped weights 0 and the others grown to keep the expectation."""
    return jnp.where(kept, attention * (2**16 / (2**16 - _threshold(rate))), 0.0)


def drop(attention: Array, keys: Array, rate: float) -> Array:
    """Dropout of attention `[..., p]`, with a key for each row of the positions p."""
    return scale_kept(attention, keep(keys, attention.shape, rate), rate)


def windows(x: Array, window_shape: tuple[int, ...]) -> Array:
    """The windows `[positions, window, ...]` of an array `[*spatial, ...]`, with zeros beyond the border."""
    dim = len(window_shape)
    spatial_shape = x.shape[:dim]
    x = jnp.pad(x, [(side // 2, side // 2) for side in window_shape] + [(0, 0)] * (x.ndim - dim))
    starts = np.ndindex(*window_shape)
    slices = [
        x[tuple(slice(s, s + length) for s, length in zip(start, spatial_shape, strict=True))] for start in starts
    ]
    x = jnp.stack(slices, axis=dim)
    return x.reshape(math.prod(spatial_shape), *x.shape[dim:])


def _threshold(rate: float) -> int:
    return min(round(rate * 2**16), 2**16 - 1)

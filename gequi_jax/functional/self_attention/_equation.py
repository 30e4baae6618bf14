"""The equations of self-attention for a set of query positions.

Dimension names in the einsums: p query positions, j window or key positions, h heads, d features, and the poses g of the
output, a of the query and m of the key.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from gequi_jax._typing import Array
from gequi_jax.functional._types import wide_type
from gequi_jax.functional.self_attention._dropout import Dropout
from gequi_jax.functional.self_attention._operands import Operands


def attend(operands: Operands, valid: Array, drop: Callable[[Array], Array]) -> Array:
    """Self-attention of some query positions to a set of keys for each.

    Args:
      operands: the query `[p, a, h, d]`; key and value as windows `[p, j, m, h, d]`, or `[j, m, h, d]` shared by all
        queries; the position encoding `[g, j, d]`, or `[g, p, j, d]` where it differs between queries; the pose encoding
        `[g, a, m, d]`.
      valid: `[p, j]`, False where a key does not exist or is masked.
      drop: dropout of the attention `[p, h, g, m, j]`.

    Returns:
      `[p, g, h, d]`.
    """
    key, value = operands.key, operands.value
    attention = _softmax(_scores(operands, valid)).sum(axis=3)  # over the query poses
    attention = drop(attention.reshape(*attention.shape[:-1], key.shape[-3], key.shape[-4]))  # [p, h, g, m, j]
    equation = f"phgmj,{_key_axes(key)}->pghd"
    out = jnp.einsum(equation, attention.astype(value.dtype), value, preferred_element_type=wide_type(operands.query))
    return out.astype(value.dtype)


def attend_to_all(
    offsets: Array, operands: Operands, window_mask: Array, dropout: Dropout, seeds: Array | None
) -> Array:
    """Global self-attention of some query positions `[p, a, h, d]` to all keys `[j, m, h, d]`.

    Args:
      offsets: `[p, j]`, the index of the relative offset between a query and a key.
      operands: those of one sample; its position encoding `[g, window, d]` holds all relative offsets.
      window_mask: which of the relative offsets take part.
      dropout: of the attention weights.
      seeds: for dropout, one for each query position, or None.
    """

    def drop(attention: Array) -> Array:  # [p, h, g, m, j]
        if seeds is None:
            return attention
        return dropout.scaled(attention, jax.vmap(lambda seed: dropout.mask(seed[None], attention.shape[1:]))(seeds))

    encoding = jnp.take(operands.position_encoding, offsets, axis=1)
    return attend(operands._replace(position_encoding=encoding), window_mask[offsets], drop)


def _scores(operands: Operands, valid: Array) -> Array:
    """`[p, h, g, a, m j]`, with m and j in one axis.

    XLA's CPU backend crashes on reductions of arrays of rank 7, which a batch axis would make of six separate axes.
    """
    query, key, _, position_encoding, pose_encoding = operands
    wide = wide_type(query)
    place_axes = "gjd" if position_encoding.ndim == 3 else "gpjd"
    content = jnp.einsum(f"pahd,{_key_axes(key)}->phamj", query, key, preferred_element_type=wide)
    content = jnp.where(valid[:, None, None, None, :], content, -jnp.inf)
    first = query[..., : position_encoding.shape[-1]]
    place = jnp.einsum(f"pahd,{place_axes}->phgaj", first, position_encoding, preferred_element_type=wide)
    scores = content.reshape(*content.shape[:3], -1)[:, :, None] + jnp.tile(place, key.shape[-3])
    if not pose_encoding.shape[-1]:
        return scores
    last = query[..., query.shape[-1] - pose_encoding.shape[-1] :]
    pose = jnp.einsum("pahd,gamd->phgam", last, pose_encoding, preferred_element_type=wide)
    return scores + jnp.repeat(pose, key.shape[-4], axis=-1)


def _softmax(scores: Array) -> Array:
    """The softmax over the last axis; 0 for a query without a single valid key, whose scores are all -inf."""
    largest = jax.lax.stop_gradient(scores.max(axis=-1, keepdims=True))
    weights = jnp.exp(scores - jnp.where(jnp.isfinite(largest), largest, 0.0))
    total = weights.sum(axis=-1, keepdims=True)
    return weights / jnp.where(total > 0, total, 1.0)


def _key_axes(key: Array) -> str:
    return "pjmhd" if key.ndim == 5 else "jmhd"

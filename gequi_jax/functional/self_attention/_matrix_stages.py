"""The stages of windowed self-attention that are products over features or poses, as matrix products: for accelerators.

Each takes and returns what the stage of the same name in `_stages` does, except that sums over features and poses include
the sum over the offsets where that is the next stage: the axis of offsets then has length 1.
"""

from collections.abc import Callable

import jax.numpy as jnp

from gequi_jax._typing import Array
from gequi_jax.functional.self_attention import _stages as stages


def content_scores(query: Array, key_windows: Array, valid: Array) -> Array:
    """`[j, m, a, p]` from `[a, d, p]`, `[k, d, p]` and `[j, p]`."""
    products = jnp.einsum("adp,kdp->kap", query, key_windows)
    return jnp.where(valid[:, None, None], products.reshape(len(valid), -1, *products.shape[1:]), -jnp.inf)


def place_scores(query: Array, position_encoding: Array) -> Array:
    """`[j, a, p]` from `[a, d, p]` and `[j, d]`."""
    return jnp.einsum("adp,jd->jap", query[:, : position_encoding.shape[-1]], position_encoding)


def pose_scores(query: Array, pose_encoding: Array) -> Array:
    """`[m, a, p]` from `[a, d, p]` and `[a, m, d]`."""
    return jnp.einsum("adp,amd->map", query, pose_encoding)


def products_with_values(attention: Array, value_windows: Array) -> Array:
    """`[1, d, p]`, summed over the offsets, from `[j, m, p]` and `[k, d, p]`."""
    by_key = attention.reshape(value_windows.shape[0], attention.shape[-1])
    return jnp.einsum("kp,kdp->dp", by_key, value_windows)[None]


def attention_gradient(out_gradient: Array, value_windows: Array, attention: Array) -> Array:
    """`[j, m, p]` from `[d, p]` and `[k, d, p]`."""
    return jnp.einsum("dp,kdp->kp", out_gradient, value_windows).reshape(attention.shape)


def products_with_keys(content_gradient: Array, key_windows: Array) -> Array:
    """`[1, a, d, p]`, summed over the offsets, from `[j, m, a, p]` and `[k, d, p]`."""
    by_key = content_gradient.reshape(key_windows.shape[0], *content_gradient.shape[2:])
    return jnp.einsum("kap,kdp->adp", by_key, key_windows)[None]


def products_with_queries(x: Array, query: Array) -> Array:
    """`[k, d, p]` from `[a, k, p]` and `[a, d, p]`."""
    return jnp.einsum("akp,adp->kdp", x, query)


OF_STAGE: dict[Callable[..., Array], Callable[..., Array]] = {
    stages.content_scores: content_scores,
    stages.place_scores: place_scores,
    stages.pose_scores: pose_scores,
    stages.products_with_values: products_with_values,
    stages.attention_gradient: attention_gradient,
    stages.products_with_keys: products_with_keys,
    stages.products_with_queries: products_with_queries,
}

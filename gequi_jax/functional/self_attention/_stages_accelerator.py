"""The stages of windowed self-attention whose sums over features are matrix products on an accelerator.

A CPU computes them as unrolled sums, see `_stages`; a compiler for an accelerator takes minutes over those. Names, arguments
and results are those of `_stages`. Scores keep the full precision of float32.
"""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp

from gequi_jax._typing import Array
from gequi_jax.functional.self_attention import _stages as stages

_product = functools.partial(jnp.einsum, precision=jax.lax.Precision.HIGHEST)


def content_scores(query: Array, key_windows: Array, valid: Array) -> Array:
    """q[a] . key[k], -inf where a key does not exist: `[j, m, a, p]` from `[a, d, p]`, `[k, d, p]` and `[j, p]`."""
    products = _product("adp,kdp->kap", query, key_windows)
    return jnp.where(valid[:, None, None], products.reshape(len(valid), -1, *products.shape[1:]), -jnp.inf)


def place_scores(query: Array, position_encoding: Array) -> Array:
    """q[a] . rho[j]: `[j, a, p]` from `[a, d, p]` and `[j, d]`."""
    return _product("jd,adp->jap", position_encoding, query[:, : position_encoding.shape[1]])


def pose_scores(query: Array, pose_encoding: Array) -> Array:
    """q[a] . tau[a, m]: `[m, a, p]` from `[a, d, p]` and `[a, m, d]`."""
    return _product("amd,adp->map", pose_encoding, query)


def attention_gradient(out_gradient: Array, value_windows: Array, attention: Array) -> Array:
    """The gradient of the attention paid to each key: `[j, m, p]` from `[d, p]` and `[k, d, p]`."""
    return _product("dp,kdp->kp", out_gradient, value_windows).reshape(attention.shape)


def products_with_queries(x: Array, query: Array) -> Array:
    """The gradient of every key (or value) in a window, `[k, d, p]`, from `[a, k, p]` and `[a, d, p]`."""
    return _product("akp,adp->kdp", x, query)


OF_ACCELERATORS: dict[Callable[..., Array], Callable[..., Array]] = {
    stages.content_scores: content_scores,
    stages.place_scores: place_scores,
    stages.pose_scores: pose_scores,
    stages.attention_gradient: attention_gradient,
    stages.products_with_queries: products_with_queries,
}

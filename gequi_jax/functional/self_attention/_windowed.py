"""Self-attention in windows: for some rows of one head, one output pose at a time, with a custom backward pass.

A score of output pose g is content, which all g share, plus place and pose, which are small:

    s_g[k, a] = q[a] . key[k]  +  q[a] . rho_g[j]  +  q[a] . tau_g[a, m],          key k = offset j with pose m

The content is computed once, and a loop over g holds |H|^2 window scores for each query position instead of |H|^3. The
forward pass keeps the largest score and the normaliser of each query; from them the backward pass recomputes the weights.
Neither pass adds arrays that grow faster than |H|^2.
"""

import functools
import math
from collections.abc import Callable
from typing import Any

import jax
import jax.export
import jax.numpy as jnp

from gequi_jax._typing import Array
from gequi_jax.functional._platform import by_platform
from gequi_jax.functional._windows import Window
from gequi_jax.functional.self_attention import _windowed_backward, _windowed_forward
from gequi_jax.functional.self_attention._dropout import Dropout
from gequi_jax.functional.self_attention._operands import Operands
from gequi_jax.functional.self_attention._windowed_forward import Statistics
from gequi_jax.functional.self_attention._windowed_plan import Plan, plans
from gequi_jax.functional.self_attention._windowed_rows import Rows, valid_keys


def attend_windowed(operands: Operands, window: Window, dropout: Dropout) -> Array:
    """Attention to a window around each query: `[batch, *spatial, group, heads, features]`."""
    batch, *spatial_shape, poses, heads, _ = operands.query.shape
    scores_per_row = window.size * poses**2 * math.prod(spatial_shape[1:])
    options: dict[str, Any] = plans(spatial_shape[0], batch * heads, scores_per_row)
    seeds = dropout.split(batch * heads, len(operands.position_encoding), spatial_shape[0])

    def forward(operands: Operands, seeds: Array | None):
        function = functools.partial(_forward, window, dropout)
        out, statistics = by_platform(function, operands, seeds, **options)
        return out, (operands, seeds, statistics)

    def backward(residuals, out_gradient: Array):
        function = functools.partial(_backward, window, dropout)
        return by_platform(function, *residuals, out_gradient, **options), None

    attend = jax.custom_vjp(lambda operands, seeds: forward(operands, seeds)[0])
    attend.defvjp(forward, backward)
    return attend(operands, seeds)


def _forward(
    window: Window, dropout: Dropout, plan: Plan, operands: Operands, seeds: Array | None
) -> tuple[Array, Statistics]:
    rows = _rows(window, dropout, plan, operands)

    def attend_head(query, key, value, seeds):
        return _windowed_forward.attend(rows, operands._replace(query=query, key=key, value=value), seeds), ()

    arrays = (_heads_first(x) for x in operands[:3])
    (out, statistics), _ = _map_heads(attend_head, plan, *arrays, _seeds_of_blocks(seeds, plan))
    shape = (*operands.query.shape[:-3], len(operands.position_encoding), *operands.value.shape[-2:])
    return _heads_last(out, shape).astype(operands.value.dtype), statistics


def _backward(
    window: Window,
    dropout: Dropout,
    plan: Plan,
    operands: Operands,
    seeds: Array | None,
    statistics: Statistics,
    out_gradient: Array,
) -> Operands:
    rows = _rows(window, dropout, plan, operands)

    def differentiate_head(query, key, value, out_gradient, seeds, statistics):
        head = operands._replace(query=query, key=key, value=value)
        gradients = _windowed_backward.differentiate(rows, head, seeds, out_gradient, statistics)
        return gradients[:3], gradients[3:]

    arrays = (_heads_first(x) for x in (*operands[:3], out_gradient))
    per_head, shared = _map_heads(differentiate_head, plan, *arrays, _seeds_of_blocks(seeds, plan), statistics)
    per_head = (_heads_last(gradient, x.shape) for gradient, x in zip(per_head, operands[:3], strict=True))
    return Operands(*(gradient.astype(x.dtype) for gradient, x in zip((*per_head, *shared), operands, strict=True)))


def _rows(window: Window, dropout: Dropout, plan: Plan, operands: Operands) -> Rows:
    spatial_shape = operands.query.shape[1:-3]
    return Rows(window, spatial_shape, valid_keys(spatial_shape, window, plan.rows), dropout, plan)


def _map_heads(function: Callable, plan: Plan, *per_head):
    """Over all heads of all samples, some at a time: the arrays of every head, and the sum of the arrays that all share.

    Args:
      function: from arrays to arrays of a head and shared ones. Where XLA fuses the stages, it takes all heads of a block
        at once, as the last axis of its arrays, which no stage moves: windows are slices along other axes.
      plan: how many heads are a block.
      *per_head: arrays with the heads first.
    """
    heads = per_head[0].shape[0]
    if not jax.export.is_symbolic_dim(heads) and heads % plan.heads:
        padding = -heads % plan.heads
        per_head = jax.tree.map(lambda x: jnp.pad(x, [(0, padding), *[(0, 0)] * (x.ndim - 1)]), per_head)
    split = jax.tree.map(lambda x: x.reshape(x.shape[0] // plan.heads, plan.heads, *x.shape[1:]), per_head)
    if plan.separate:
        out, shared = jax.lax.map(lambda arrays: jax.vmap(function)(*arrays), split)
        shared = jax.tree.map(lambda x: x.sum(axis=1), shared)
    else:
        last = jax.tree.map(lambda x: jnp.moveaxis(x, 1, -1), split)
        out, shared = jax.lax.map(lambda arrays: function(*arrays), last)
        out = jax.tree.map(lambda x: jnp.moveaxis(x, -1, 1), out)
    out = jax.tree.map(lambda x: x.reshape(x.shape[0] * plan.heads, *x.shape[2:])[:heads], out)
    return out, jax.tree.map(lambda x: x.sum(axis=0), shared)


def _seeds_of_blocks(seeds: Array | None, plan: Plan) -> Array | None:
    """The seeds `[head, block, g, row]` of dropout from those of all rows, `[head, g, row]`."""
    return None if seeds is None else seeds.reshape(*seeds.shape[:2], -1, plan.rows).swapaxes(1, 2)


def _heads_first(x: Array) -> Array:
    """`[batch * heads, pose, d, *spatial]` from `[batch, *spatial, pose, heads, d]`."""
    x = jnp.moveaxis(x, (-2, -3, -1), (1, 2, 3))
    return x.reshape(x.shape[0] * x.shape[1], *x.shape[2:])


def _heads_last(x: Array, shape: tuple[int, ...]) -> Array:
    """The inverse of `_heads_first`, for any way the spatial axes are flattened."""
    *spatial, poses, heads, features = shape[1:]
    x = x.reshape(shape[0], heads, poses, features, *spatial)
    return jnp.moveaxis(x, (1, 2, 3), (-2, -3, -1))

"""The plain form of self-attention, `implementation="reference"`: all scores at once.

It is the definition with which the other implementations are compared.
"""

import math

import jax
import jax.numpy as jnp
import numpy as np

from gequi_jax._typing import Array
from gequi_jax.actions import relative_positions
from gequi_jax.functional._windows import Window
from gequi_jax.functional.self_attention._dropout import Dropout
from gequi_jax.functional.self_attention._equation import attend, attend_to_all
from gequi_jax.functional.self_attention._operands import Operands


def reference_windowed(operands: Operands, window: Window, dropout: Dropout) -> Array:
    """Attention to a window around each query: `[batch, *spatial, group, heads, features]`."""
    dim, spatial_shape = len(window.shape), operands.query.shape[1:-3]
    valid = windows(jnp.ones(spatial_shape, bool), window.shape) & jnp.asarray(window.mask)[None]
    (batch, rows), heads, group = operands.query.shape[:2], operands.query.shape[-2], len(operands.position_encoding)
    # A key for each row: then the mask does not depend on the blocks of other implementations.
    seeds = dropout.split(batch, heads, group, rows)

    def attend_sample(query, key, value, seeds):
        def drop(attention: Array) -> Array:  # [p, h, g, m, j]
            if seeds is None:
                return attention
            shape = (attention.shape[-1], attention.shape[-2], len(attention))
            mask = jax.vmap(jax.vmap(lambda seeds: dropout.mask(seeds, shape)))(seeds)  # [h, g, j, m, p]
            return dropout.scaled(attention, mask.transpose(4, 0, 1, 3, 2))

        sample = operands._replace(
            query=query.reshape(-1, *query.shape[dim:]),
            key=windows(key, window.shape),
            value=windows(value, window.shape),
        )
        out = attend(sample, valid, drop)
        return out.reshape(*spatial_shape, *out.shape[1:])

    return jax.vmap(attend_sample)(operands.query, operands.key, operands.value, seeds)


def reference_global(operands: Operands, window: Window, dropout: Dropout) -> Array:
    """Attention to every position: `[batch, *spatial, group, heads, features]`."""
    batch, spatial_shape = operands.query.shape[0], operands.query.shape[1:-3]
    _, offsets = relative_positions(spatial_shape)  # [query position, key position]
    seeds = dropout.split(batch, len(offsets))

    def attend_sample(query, key, value, seeds):
        sample = operands._replace(query=query, key=key, value=value)
        return attend_to_all(jnp.asarray(offsets), sample, jnp.asarray(window.mask), dropout, seeds)

    query, key, value = (x.reshape(batch, -1, *x.shape[-3:]) for x in operands[:3])
    out = jax.vmap(attend_sample)(query, key, value, seeds)
    return out.reshape(batch, *spatial_shape, *out.shape[2:])


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

"""Self-attention in windows as a kernel for TPUs, `implementation="pallas"`, with a backward pass of its own.

A block of query positions, and the keys and values that its windows reach, stay in the memory of the chip. Loops over the
offsets of the window and the output poses compute the scores of a tile at a time, with a running maximum and sum. Only the
query, the key, the value, the encodings, the output and two statistics of each query and output pose touch main memory.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from gequi_jax._typing import Array
from gequi_jax.functional._platform import by_platform
from gequi_jax.functional._windows import Window
from gequi_jax.functional.self_attention._dropout import Dropout
from gequi_jax.functional.self_attention._operands import Operands, wide_type
from gequi_jax.functional.self_attention._pallas_backward import Residuals
from gequi_jax.functional.self_attention._pallas_calls import call_backward, call_forward
from gequi_jax.functional.self_attention._pallas_layout import Layout
from gequi_jax.functional.self_attention._pallas_plan import plan_layout
from gequi_jax.functional.self_attention._pallas_tiles import Inputs


def attend_pallas(operands: Operands, window: Window, dropout: Dropout) -> Array:
    """Attention to a window around each query: `[batch, *spatial, group, heads, features]`."""
    if not window.mask.any():
        shape = (*operands.query.shape[:-3], len(operands.position_encoding), *operands.value.shape[-2:])
        return jnp.zeros(shape, operands.value.dtype)
    operands = with_encodings(operands)
    layout = plan_layout(operands, window)
    batch, rows, heads = operands.query.shape[0], operands.query.shape[1], operands.query.shape[-2]
    seeds = dropout.split(batch * heads, len(operands.position_encoding), rows)

    def forward(operands: Operands, seeds: Array | None):
        function = functools.partial(_forward, layout, dropout)
        out, statistics = by_platform(function, operands, seeds, default=False, cpu=True)
        return out, (operands, seeds, statistics)

    def backward(residuals, out_gradient: Array):
        function = functools.partial(_backward, layout, dropout)
        return by_platform(function, *residuals, out_gradient, default=False, cpu=True), None

    attend = jax.custom_vjp(lambda operands, seeds: forward(operands, seeds)[0])
    attend.defvjp(forward, backward)
    return attend(operands, seeds)


def with_encodings(operands: Operands) -> Operands:
    """The operands with a feature of zeros for an encoding that has none: a kernel has no empty arrays."""

    def padded(x: Array) -> Array:
        return x if x.shape[-1] else jnp.zeros((*x.shape[:-1], 1), x.dtype)

    return operands._replace(
        position_encoding=padded(operands.position_encoding), pose_encoding=padded(operands.pose_encoding)
    )


def _forward(
    layout: Layout, dropout: Dropout, interpret: bool, operands: Operands, seeds: Array | None
) -> tuple[Array, tuple[Array, Array]]:
    out, *statistics = call_forward(layout, dropout, _inputs(layout, operands, seeds), interpret=interpret)
    shape = (*operands.query.shape[:-3], len(operands.position_encoding), *operands.value.shape[-2:])
    return layout.from_queries(out, shape).astype(operands.value.dtype), tuple(statistics)


def _backward(
    layout: Layout,
    dropout: Dropout,
    interpret: bool,
    operands: Operands,
    seeds: Array | None,
    statistics: tuple[Array, Array],
    out_gradient: Array,
) -> Operands:
    inputs = _inputs(layout, operands, seeds)
    residuals = Residuals(*statistics, layout.queries(out_gradient))
    gradients = call_backward(layout, dropout, inputs, residuals, interpret=interpret)
    active, _ = layout.offsets()
    place = gradients.position_encoding.sum(axis=-1)
    by_window = jnp.zeros((place.shape[0], layout.window.size, place.shape[2]), place.dtype).at[:, active].set(place)
    exact = Operands(
        layout.from_queries(gradients.query, operands.query.shape),
        layout.from_keys(gradients.key, operands.key.shape),
        layout.from_keys(gradients.value, operands.value.shape),
        by_window,
        gradients.pose_encoding,
    )
    return Operands(*(gradient.astype(x.dtype) for gradient, x in zip(exact, operands, strict=True)))


def _inputs(layout: Layout, operands: Operands, seeds: Array | None) -> Inputs:
    """The arrays of the operands in the layout of the kernel."""
    active, distances = layout.offsets()
    wide = wide_type(operands.query)
    return Inputs(
        offsets=jnp.asarray(np.concatenate([distances, active]), jnp.int32),
        position_encoding=operands.position_encoding[:, active].astype(wide),
        pose_encoding=operands.pose_encoding.astype(wide),
        outside=jnp.asarray(layout.outside(), wide),
        query=layout.queries(operands.query),
        key=layout.keys(operands.key),
        value=layout.keys(operands.value),
        dropped=() if seeds is None else _dropout_inputs(layout, seeds),
    )


def _dropout_inputs(layout: Layout, seeds: Array) -> tuple[Array, Array]:
    """The seeds `[g, head, position]` from `[head, g, row]`, and the index of each position within its row."""
    rows, columns = layout.rows_and_columns()
    by_position = jnp.moveaxis(seeds, 0, 1)[:, :, rows]
    by_position = jnp.pad(by_position, [(0, 0), (0, -seeds.shape[0] % layout.sublanes), (0, 0)])
    return by_position, jnp.asarray(np.broadcast_to(columns, (layout.sublanes, len(columns))), jnp.int32)

"""Self-attention in windows as a kernel for TPUs, `implementation="pallas"`, with a backward pass of its own.

A block of query positions, and the keys and values that its windows reach, stay in the memory of the chip. Loops over the
offsets of the window and the output poses compute the scores of a tile at a time, with a running maximum and sum. Only the
query, the key, the value, the encodings, the output and two statistics of each query and output pose touch main memory.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.ad_checkpoint import checkpoint_name

from gequi_jax._typing import Array
from gequi_jax.functional._platform import by_platform, unavailable
from gequi_jax.functional._windows import Window
from gequi_jax.functional.self_attention._dropout import Dropout
from gequi_jax.functional.self_attention._operands import Operands, wide_type
from gequi_jax.functional.self_attention._pallas_backward import Residuals
from gequi_jax.functional.self_attention._pallas_calls import call_backward, call_forward
from gequi_jax.functional.self_attention._pallas_layout import Layout
from gequi_jax.functional.self_attention._pallas_plan import plan_layout
from gequi_jax.functional.self_attention._pallas_tiles import Inputs

_NO_KERNEL = (
    'implementation: expected "auto", "blocked" or "reference" where there is neither a TPU nor a CPU; got "pallas", '
    "which is a kernel for TPUs; pass another."
)


def attend_pallas(operands: Operands, window: Window, dropout: Dropout) -> Array:
    """Attention to a window around each query: `[batch, *spatial, group, heads, features]`.

    Raises:
      ValueError: when the computation is lowered for a GPU.
    """
    if not window.mask.any():
        shape = (*operands.query.shape[:-3], len(operands.position_encoding), *operands.value.shape[-2:])
        return jnp.zeros(shape, operands.value.dtype)
    layout, like = plan_layout(operands, window), jax.tree.map(jax.typeof, operands)
    batch, rows, heads = operands.query.shape[0], operands.query.shape[1], operands.query.shape[-2]
    seeds = dropout.split(batch * heads, len(operands.position_encoding), rows)

    def forward(operands: Operands, seeds: Array | None):
        # The residuals are in the layout of the kernel: the backward pass needs no second copy.
        inputs = _inputs(layout, _with_features(operands), seeds)
        function = functools.partial(_forward, layout, dropout, operands.value)
        # Named for policies of `jax.checkpoint`: from them and the operands the backward pass starts without the kernel.
        results = _by_platform(function, inputs)
        out, statistics = checkpoint_name(results, "self_attention")
        return out, (inputs, statistics)

    def backward(residuals, out_gradient: Array):
        function = functools.partial(_backward, layout, dropout, like)
        return _by_platform(function, *residuals, out_gradient), None

    attend = jax.custom_vjp(lambda operands, seeds: forward(operands, seeds)[0])
    attend.defvjp(forward, backward)
    return attend(operands, seeds)


def _by_platform(function: Callable[..., Any], *operands: Any) -> Any:
    """`function(interpret, *operands)` on a TPU and, interpreted, on a CPU."""

    def run(interpret: bool | None, *operands: Any) -> Any:
        if interpret is None:
            return unavailable(jax.eval_shape(functools.partial(function, False), *operands), _NO_KERNEL)
        return function(interpret, *operands)

    return by_platform(run, *operands, default=None, tpu=False, cpu=True)


def _with_features(operands: Operands) -> Operands:
    """The operands with a feature of zeros for an encoding that has none: a kernel has no empty arrays."""

    def padded(x: Array) -> Array:
        return x if x.shape[-1] else jnp.zeros((*x.shape[:-1], 1), x.dtype)

    return operands._replace(
        position_encoding=padded(operands.position_encoding), pose_encoding=padded(operands.pose_encoding)
    )


def _forward(
    layout: Layout, dropout: Dropout, value: Array, interpret: bool, inputs: Inputs
) -> tuple[Array, tuple[Array, Array]]:
    out, *statistics = call_forward(layout, dropout, inputs, interpret=interpret)
    shape = (*value.shape[:-3], len(inputs.position_encoding), *value.shape[-2:])
    return layout.from_queries(out.astype(value.dtype), shape), tuple(statistics)


def _backward(
    layout: Layout,
    dropout: Dropout,
    like: Operands,
    interpret: bool,
    inputs: Inputs,
    statistics: tuple[Array, Array],
    out_gradient: Array,
) -> Operands:
    """The gradients of operands of the types and shapes of `like`."""
    residuals = Residuals(*statistics, layout.queries(out_gradient))
    gradients = call_backward(layout, dropout, inputs, residuals, interpret=interpret)
    active, _ = layout.offsets()
    place = gradients.position_encoding.sum(axis=-1)[..., : like.position_encoding.shape[-1]]
    return Operands(
        layout.from_queries(gradients.query.astype(like.query.dtype), like.query.shape),
        layout.from_keys(gradients.key, like.key.shape).astype(like.key.dtype),
        layout.from_keys(gradients.value, like.value.shape).astype(like.value.dtype),
        jnp.zeros(like.position_encoding.shape, place.dtype)
        .at[:, active]
        .set(place)
        .astype(like.position_encoding.dtype),
        gradients.pose_encoding[..., : like.pose_encoding.shape[-1]].astype(like.pose_encoding.dtype),
    )


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
        dropped=() if seeds is None else _dropout_inputs(layout, seeds, operands.query.shape[0]),
    )


def _dropout_inputs(layout: Layout, seeds: Array, batch: int) -> tuple[Array, Array]:
    """The seeds `[g, heads * batch, position]` from `[batch * heads, g, row]`, and the index of each position in its row."""
    rows, columns = layout.rows_and_columns()
    by_head = (
        seeds.reshape(batch, -1, *seeds.shape[1:]).transpose(2, 1, 0, 3).reshape(seeds.shape[1], -1, seeds.shape[2])
    )
    by_head = jnp.pad(by_head[:, :, rows], [(0, 0), (0, -by_head.shape[1] % layout.sublanes), (0, 0)])
    return by_head, jnp.asarray(np.broadcast_to(columns, (layout.sublanes, len(columns))), jnp.int32)

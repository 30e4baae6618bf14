"""The calls of the two kernels: their grids, blocks and scratch memory.

The grid has an axis over heads, `sublanes` at a time, and an axis over blocks of query positions. Programs run one after
another on a core, so that gradients of the encodings, which all of them share, are summed in place.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.experimental import pallas as pl
from jax.experimental.pallas import tpu as pltpu

from gequi_jax._typing import Array
from gequi_jax.functional.self_attention._dropout import Dropout
from gequi_jax.functional.self_attention._pallas_backward import (
    Gradients,
    Residuals,
    ScoreGradients,
    differentiate_tile,
)
from gequi_jax.functional.self_attention._pallas_forward import Outputs, attend_tile
from gequi_jax.functional.self_attention._pallas_layout import LANES, Layout
from gequi_jax.functional.self_attention._pallas_plan import MEMORY_LIMIT, outputs_per_pass
from gequi_jax.functional.self_attention._pallas_tiles import Inputs, Scratch, Sizes, Tile

# Loops over poses are unrolled up to so many pairs of an output and a query pose: for more, compilation takes too long.
MOST_UNROLLED = 16


def call_forward(layout: Layout, dropout: Dropout, inputs: Inputs, *, interpret: bool) -> Outputs:
    """The output and the statistics."""
    sizes, dtype = _sizes(layout, inputs, interpret=interpret), inputs.outside.dtype

    def kernel(inputs, *refs):
        *outputs, scratch = refs
        _for_each_chunk(
            sizes, lambda chunk: attend_tile(Tile(sizes, dropout, inputs, scratch, chunk), Outputs(*outputs))
        )

    poses = (sizes.outputs, sizes.queries)
    outputs = Outputs((sizes.outputs, sizes.value_features), poses, poses)
    call = _call(
        kernel,
        layout,
        inputs,
        in_specs=(_input_specs(layout, inputs),),
        out_specs=Outputs(*(_query_spec(layout, shape) for shape in outputs)),
        out_shape=Outputs(*(jax.ShapeDtypeStruct((*shape, *inputs.query.shape[2:]), dtype) for shape in outputs)),
        scratch_shapes=(Scratch(*_score_shapes(sizes, dtype)),),
        interpret=interpret,
    )
    return Outputs(*call(_flattened(inputs)))


def call_backward(
    layout: Layout, dropout: Dropout, inputs: Inputs, residuals: Residuals, *, interpret: bool
) -> Gradients:
    """The gradients of the operands, in the layout of the kernel."""
    sizes, dtype = _sizes(layout, inputs, interpret=interpret), inputs.outside.dtype

    def kernel(inputs, residuals, *refs):
        *outputs, scratch, scores = refs
        gradients = Gradients(*outputs)

        @pl.when((pl.program_id(0) == 0) & (pl.program_id(1) == 0))
        def _():
            _write_zeros(gradients.position_encoding, gradients.pose_encoding)

        _write_zeros(gradients.query, gradients.key, gradients.value)

        def differentiate(chunk):
            differentiate_tile(Tile(sizes, dropout, inputs, scratch, chunk), residuals, gradients, scores)

        _for_each_chunk(sizes, differentiate)

    shape, (heads, key_block) = inputs.query.shape, (inputs.query.shape[2], layout.key_block)
    place = (sizes.outputs, sizes.offsets, sizes.position_features, LANES)
    pose = (sizes.outputs, sizes.queries, sizes.keys, sizes.pose_features)
    content, pose_scores = _score_shapes(sizes, dtype)
    mean = pltpu.VMEM((*pose_scores.shape[:2], *pose_scores.shape[3:]), dtype)
    call = _call(
        kernel,
        layout,
        inputs,
        in_specs=(
            _input_specs(layout, inputs),
            Residuals(*(_query_spec(layout, x.shape[:2]) for x in residuals)),
        ),
        out_specs=Gradients(
            _query_spec(layout, shape[:2]),
            _key_gradient_spec(layout, inputs.key),
            _key_gradient_spec(layout, inputs.value),
            _whole(place),
            _whole(pose),
        ),
        out_shape=Gradients(
            *(
                jax.ShapeDtypeStruct(shape, dtype)
                for shape in (
                    shape,
                    (layout.blocks, *inputs.key.shape[:2], heads, key_block),
                    (layout.blocks, *inputs.value.shape[:2], heads, key_block),
                    place,
                    pose,
                )
            )
        ),
        scratch_shapes=(Scratch(content, pose_scores), ScoreGradients(content, pose_scores, mean)),
        interpret=interpret,
    )
    return Gradients(*call(_flattened(inputs), residuals))


def _call(kernel: Callable, layout: Layout, inputs: Inputs, *, interpret: bool, **specs: Any) -> Callable:
    return pl.pallas_call(
        kernel,
        grid=(inputs.query.shape[2] // layout.sublanes, layout.blocks),
        compiler_params=pltpu.CompilerParams(
            dimension_semantics=("arbitrary", "arbitrary"), vmem_limit_bytes=MEMORY_LIMIT
        ),
        interpret=interpret,
        **specs,
    )


def _sizes(layout: Layout, inputs: Inputs, *, interpret: bool) -> Sizes:
    outputs, queries, keys, pose_features = inputs.pose_encoding.shape
    return Sizes(
        outputs=outputs,
        queries=queries,
        keys=keys,
        outputs_per_pass=outputs_per_pass(outputs, queries, keys, layout.sublanes),
        offsets=inputs.position_encoding.shape[1],
        features=inputs.query.shape[1],
        value_features=inputs.value.shape[1],
        position_features=inputs.position_encoding.shape[2],
        pose_features=pose_features,
        chunks=layout.block // LANES,
        sublanes=layout.sublanes,
        columns=math.prod(layout.spatial_shape[1:]),
        unroll=not interpret and outputs * queries <= MOST_UNROLLED,
    )


def _score_shapes(sizes: Sizes, dtype: Any) -> tuple[Any, Any]:
    """The scratch memory of content and pose scores."""
    shape = (sizes.queries, sizes.keys, sizes.sublanes, LANES)
    return pltpu.VMEM(shape, dtype), pltpu.VMEM((sizes.outputs_per_pass, *shape), dtype)


def _flattened(inputs: Inputs) -> Inputs:
    """The inputs with flat encodings: the memory of scalars pads all but flat arrays."""
    return inputs._replace(
        position_encoding=inputs.position_encoding.reshape(-1), pose_encoding=inputs.pose_encoding.reshape(-1)
    )


def _input_specs(layout: Layout, inputs: Inputs) -> Inputs:
    scalars = pl.BlockSpec(memory_space=pltpu.SMEM)
    columns = pl.BlockSpec((layout.sublanes, layout.block), lambda i, t: (0, t))
    return Inputs(
        offsets=scalars,
        position_encoding=scalars,
        pose_encoding=scalars,
        outside=_key_spec(layout, ()),
        query=_query_spec(layout, inputs.query.shape[:2]),
        key=_key_spec(layout, inputs.key.shape[:2]),
        value=_key_spec(layout, inputs.value.shape[:2]),
        dropped=(_query_spec(layout, inputs.dropped[0].shape[:1]), columns) if inputs.dropped else (),
    )


def _query_spec(layout: Layout, shape: Sequence[int]) -> pl.BlockSpec:
    """A block of queries of some heads, with all of the other axes."""
    return pl.BlockSpec((*shape, layout.sublanes, layout.block), lambda i, t: (*[0] * len(shape), i, t))


def _key_spec(layout: Layout, shape: Sequence[int]) -> pl.BlockSpec:
    """The keys of a block of queries; blocks overlap. Without other axes, an array that all heads share."""
    sides = (*shape, layout.sublanes, layout.key_block)
    if layout.blocks == 1:
        return pl.BlockSpec(sides, lambda i, t: (*[0] * len(shape), i if shape else 0, 0))
    return pl.BlockSpec(
        tuple(pl.Element(side) for side in sides),
        lambda i, t: (*[0] * len(shape), i * layout.sublanes if shape else 0, t * layout.block),
    )


def _key_gradient_spec(layout: Layout, keys: Array) -> pl.BlockSpec:
    return pl.BlockSpec((None, *keys.shape[:2], layout.sublanes, layout.key_block), lambda i, t: (t, 0, 0, i, 0))


def _whole(shape: Sequence[int]) -> pl.BlockSpec:
    return pl.BlockSpec(tuple(shape), lambda i, t: (0,) * len(shape))


def _write_zeros(*refs: Any) -> None:
    for ref in refs:
        ref[...] = jnp.zeros_like(ref)


def _for_each_chunk(sizes: Sizes, body: Callable[[Array], None]) -> None:
    jax.lax.fori_loop(0, sizes.chunks, lambda chunk, _: body(chunk), None)

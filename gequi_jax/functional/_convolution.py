"""Convolution with channels last: `jax.lax.conv_general_dilated` with a gradient of the filters that suits a CPU.

XLA computes the gradient of the filters as a convolution whose batch is the channels. On a CPU it transposes both operands
for that, which takes as long as the convolution. JAX has no way to replace one of the two transpositions of a bilinear
function that keeps forward mode and `jax.vmap`, so the convolution is a primitive of its own.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir
from jax.sharding import AxisType

from gequi_jax._typing import Array, Float
from gequi_jax.functional._blocked_convolution import convolve_in_blocks, is_faster_in_blocks
from gequi_jax.functional._filter_gradient import blocked_filter_gradient, fits_in_blocks
from gequi_jax.functional._platform import by_platform, is_platform_assumed
from gequi_jax.functional._sampling import Sampling
from gequi_jax.functional._space_to_depth import is_strided_stem, space_to_depth

_AXES = {1: ("NWC", "WIO", "NWC"), 2: ("NHWC", "HWIO", "NHWC"), 3: ("NDHWC", "DHWIO", "NDHWC")}


def convolve(
    x: Float[Array, "batch *spatial in_channels"],
    filters: Float[Array, "*window in_channels out_channels"],
    sampling: Sampling,
    *,
    precision: jax.lax.PrecisionLike = None,
) -> Float[Array, "batch *out_spatial out_channels"]:
    """The values of `jax.lax.conv_general_dilated`, with channels last, and all its transformations.

        y_o(x) = sum_c sum_y f_c(s x + d y - p) psi_co(y)

    for stride s, dilation d and padding p.

    Args:
      x: the input f, on 1, 2 or 3 spatial axes.
      filters: the filters psi.
      sampling: strides, padding and dilation.
      precision: as in `jax.lax.conv_general_dilated`.

    Raises:
      ValueError: if the number of spatial axes is not 1, 2 or 3.
    """
    if x.ndim - 2 not in _AXES:
        raise ValueError(f"x: convolutions are of dimension 1, 2 or 3; got {x.ndim - 2} spatial axes.")
    # Read here, since a primitive may be lowered in another context.
    precision = jax.config.jax_default_matmul_precision if precision is None else precision
    meshes = (jax.typeof(array).sharding.mesh for array in (x, filters))
    has_sharding_in_type = any(kind != AxisType.Auto for mesh in meshes for kind in mesh.axis_types)
    if has_sharding_in_type or x.dtype != filters.dtype or not jnp.issubdtype(x.dtype, jnp.inexact):
        return _convolve_by_xla(x, filters, sampling=sampling, precision=precision)
    if is_strided_stem(x.shape, filters.shape[:-2], sampling):
        x, filters, sampling = space_to_depth(x, filters, sampling)
    if is_platform_assumed():
        # Converters to other formats know the primitives of JAX alone.
        return _convolve_by_platform(x, filters, sampling=sampling, precision=precision)
    return _convolve_p.bind(x, filters, sampling=sampling, precision=precision)


def _convolve_by_xla(x: Array, filters: Array, *, sampling: Sampling, precision: jax.lax.PrecisionLike) -> Array:
    dim = x.ndim - 2
    return jax.lax.conv_general_dilated(
        x,
        filters,
        window_strides=(sampling.strides,) * dim,
        padding=sampling.pads,
        rhs_dilation=(sampling.kernel_dilation,) * dim,
        dimension_numbers=_AXES[dim],
        precision=precision,
    )


def _convolve_by_platform(x: Array, filters: Array, *, sampling: Sampling, precision: jax.lax.PrecisionLike) -> Array:
    def plan(in_blocks: bool, x: Array, filters: Array) -> Array:
        if in_blocks:
            return convolve_in_blocks(x, filters, sampling, precision)
        return _convolve_by_xla(x, filters, sampling=sampling, precision=precision)

    in_blocks = is_faster_in_blocks(x.shape, filters.shape, sampling)
    return by_platform(plan, x, filters, default=False, cpu=in_blocks)


def _abstract(x: Any, filters: Any, **options: Any) -> Any:
    operands = (jax.ShapeDtypeStruct(operand.shape, operand.dtype) for operand in (x, filters))
    y = jax.eval_shape(functools.partial(_convolve_by_xla, **options), *operands)
    return x.update(shape=y.shape, dtype=y.dtype, weak_type=False)


def _input_gradient(
    out_gradient: Array, x: Any, filters: Array, *, sampling: Sampling, precision: jax.lax.PrecisionLike
) -> Array:
    window_shape = filters.shape[:-2]
    spans = (sampling.kernel_dilation * (side - 1) for side in window_shape)
    pads = tuple((span - before, span - after) for span, (before, after) in zip(spans, sampling.pads, strict=True))
    transposed = sampling._replace(pads=pads)
    if is_faster_in_blocks(out_gradient.shape, filters.shape, transposed):
        flipped = jnp.flip(filters, range(len(window_shape))).swapaxes(-1, -2)
        return _convolve_p.bind(out_gradient, flipped, sampling=transposed, precision=precision)
    like = jax.ShapeDtypeStruct(x.aval.shape, x.aval.dtype)
    by_xla = functools.partial(_convolve_by_xla, sampling=sampling, precision=precision)
    return jax.linear_transpose(lambda x: by_xla(x, filters), like)(out_gradient)[0]


def _filter_gradient(
    out_gradient: Array, x: Array, filters: Any, *, sampling: Sampling, precision: jax.lax.PrecisionLike
) -> Array:
    like = jax.ShapeDtypeStruct(filters.aval.shape, filters.aval.dtype)
    window_shape = like.shape[:-2]

    def gradient(in_blocks: bool, x: Array, out_gradient: Array) -> Array:
        if in_blocks:
            # Others read them in another shape; without the barrier, XLA computes them once for each shape.
            x, out_gradient = jax.lax.optimization_barrier((x, out_gradient))
            return blocked_filter_gradient(x, out_gradient, window_shape, sampling, precision)
        convolve_x = functools.partial(_convolve_by_xla, x, sampling=sampling, precision=precision)
        return jax.linear_transpose(convolve_x, like)(out_gradient)[0]

    in_blocks = fits_in_blocks(x, out_gradient, window_shape, sampling)
    return by_platform(gradient, x, out_gradient, default=False, cpu=in_blocks)


def _batched(operands: Any, axes: Any, **options: Any) -> tuple[Array, int]:
    x, filters = operands
    x_axis, filters_axis = axes
    if filters_axis is not None:
        return jax.vmap(functools.partial(_convolve_by_xla, **options), in_axes=tuple(axes))(x, filters), 0
    # Beside the batch rather than before it, so that a shared batch stays shared.
    x = jnp.moveaxis(x, x_axis, 1)
    y = _convolve_p.bind(x.reshape(-1, *x.shape[2:]), filters, **options)
    return y.reshape(*x.shape[:2], *y.shape[1:]), 1


_convolve_p = Primitive("gequi_convolve")
_convolve_p.def_impl(_convolve_by_platform)
_convolve_p.def_abstract_eval(_abstract)
ad.defbilinear(_convolve_p, _input_gradient, _filter_gradient)
batching.primitive_batchers[_convolve_p] = _batched
mlir.register_lowering(_convolve_p, mlir.lower_fun(_convolve_by_platform, multiple_results=False))

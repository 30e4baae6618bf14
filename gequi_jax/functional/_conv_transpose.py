"""Transposed group convolution: the adjoint of the strided group convolution."""

import jax
import jax.numpy as jnp

from gequi_jax._checks import check_group_axis, check_spatial_axes
from gequi_jax._typing import Array, FeatureMap, Float, OutFeatureMap
from gequi_jax.actions import transform_group_kernel
from gequi_jax.functional._conv import Padding, resolve_padding, transformed_bank
from gequi_jax.functional._sampling import Sampling
from gequi_jax.functional._transposed_convolution import transposed_convolution
from gequi_jax.functional._windows import WindowMask
from gequi_jax.groups import FiniteGroup


def group_conv_transpose(
    x: FeatureMap,
    kernel: Float[Array, "*window group in_features out_features"],
    *,
    group: FiniteGroup,
    strides: int = 1,
    padding: Padding = "SAME",
    kernel_dilation: int = 1,
    window_mask: WindowMask | None = None,
    allow_inequivariant: bool = False,
    precision: jax.lax.PrecisionLike = None,
) -> OutFeatureMap:
    """Every position and pose of the input adds a copy of the kernel, moved there and turned: upsampling that is learned.

        [f *^T psi](y, m) = sum_c sum_h sum_x f_c(x, h) psi_c(h^-1 (y - x), h^-1 m)

    where x runs over the input positions, a stride apart on the grid of the output. The exact adjoint of `group_conv` with
    the same options and the two axes of features of the kernel exchanged: <group_conv(f, k), g> = <f,
    group_conv_transpose(g, k')>.

    Equivariant: L_g on the input becomes L_g on the output. No size breaks the symmetry, since the output has the one size
    that the strided convolution maps to the input without a remainder.

    Args:
      x: feature maps `[batch, *spatial, group, in_features]`.
      kernel: the filter `[*window, group, in_features, out_features]`.
      group: the group H.
      strides: the step between the positions of the input on the grid of the output, along every axis.
      padding: the padding of the convolution of which this is the adjoint: positions removed on each side of every axis.
        "SAME" gives sides of `strides (size - 1) + 1`; "VALID" adds the span of the window less 1 to that.
      kernel_dilation: the step between neighbouring kernel entries.
      window_mask: the offsets of the kernel that take part, as in `group_conv`.
      allow_inequivariant: accept padding and kernel shapes that break the symmetry.
      precision: as in `jax.lax.conv_general_dilated`.

    Returns:
      Feature maps `[batch, *spatial, group, out_features]`.

    Raises:
      ValueError: if shapes do not fit, the padding or the shape of the kernel break equivariance, or the padding leaves
        nothing of the output.

    Example:
      >>> from gequi_jax.groups import cyclic_group
      >>> kernel = jnp.ones((4, 4, 4, 3, 2))
      >>> group_conv_transpose(jnp.ones((1, 5, 5, 4, 3)), kernel, group=cyclic_group(4), strides=2, padding=1).shape
      (1, 10, 10, 4, 2)
    """
    check_spatial_axes(x, group, other_axes=("batch", "group", "channels"))
    check_group_axis(x, group, axis=-2)
    bank = transformed_bank(
        transform_group_kernel, kernel, group, window_mask, allow_inequivariant
    )  # [in_group, *window, out_group, in, out]
    if x.shape[-1] != kernel.shape[-2]:
        raise ValueError(
            f"kernel: reads {kernel.shape[-2]} channels (in_features), but the input has {x.shape[-1]}; make in_features "
            "equal to the channels of the input."
        )
    filters = jnp.moveaxis(bank, (0, -2), (group.dim, group.dim + 1))  # [*window, in_group, in, out_group, out]
    filters = filters.reshape(*kernel.shape[: group.dim], group.order * kernel.shape[-2], -1)
    out_shape, sampling = _geometry(
        x.shape[1:-2], filters.shape[:-2], strides, padding, kernel_dilation, allow_inequivariant
    )
    y = transposed_convolution(x.reshape(*x.shape[:-2], -1), filters, out_shape, sampling, precision=precision)
    return y.reshape(*y.shape[:-1], group.order, -1)


def _geometry(
    in_shape: tuple[int, ...],
    window_shape: tuple[int, ...],
    strides: int,
    padding: Padding,
    kernel_dilation: int,
    allow_inequivariant: bool,
) -> tuple[tuple[int, ...], Sampling]:
    """The sides of the output, and the sampling of the convolution that maps it to the input."""
    spans = tuple((side - 1) * kernel_dilation + 1 for side in window_shape)
    pads = resolve_padding(
        spans,
        window_shape,
        strides=1,
        padding=padding,
        kernel_dilation=kernel_dilation,
        allow_inequivariant=allow_inequivariant,
    )
    out_shape = tuple(
        strides * (size - 1) + span - sum(pair) for size, span, pair in zip(in_shape, spans, pads, strict=True)
    )
    if min(out_shape) < 1:
        raise ValueError(
            f"padding: {padding!r} leaves nothing of the output for a map of shape {in_shape}, a window that spans "
            f"{spans} positions and strides {strides}; use less padding."
        )
    return out_shape, Sampling(strides, tuple(pads), kernel_dilation)

"""Attentive lifting and group convolutions: an attention map between the convolution and its sums."""

from typing import Any, NamedTuple

import jax

from gequi_jax._checks import check_group_axis, check_spatial_axes
from gequi_jax._typing import Array, FeatureMap, Float, Grid, OutFeatureMap
from gequi_jax.actions import transform_group_kernel, transform_kernel
from gequi_jax.functional._conv import Padding, group_conv, lifting_conv, resolve_sampling, transformed_bank
from gequi_jax.functional._windows import WindowMask
from gequi_jax.functional.attentive_conv._modulation import Modulation
from gequi_jax.functional.attentive_conv._operators import AttentionOperator, Maps
from gequi_jax.functional.attentive_conv._responses import attended_conv
from gequi_jax.groups import FiniteGroup


def attentive_lifting_conv(
    x: Grid,
    kernel: Float[Array, "*window in_features out_features"],
    attention_params: Any,
    *,
    group: FiniteGroup,
    attention: AttentionOperator,
    residual: bool = True,
    strides: int = 1,
    padding: Padding = "SAME",
    kernel_dilation: int = 1,
    window_mask: WindowMask | None = None,
    allow_inequivariant: bool = False,
    block_size: int | None = None,
    return_maps: bool = False,
    precision: jax.lax.PrecisionLike = None,
) -> OutFeatureMap | tuple[OutFeatureMap, Maps]:
    """Lifting convolution whose responses, or whose input, are modulated by attention: from R^d to the group.

        [f * psi](x, h) = sum_c (1 - alpha_c(x, h)) sum_y f_c(y) psi_c(h^-1 (y - x))

    Equivariant if the operator is (Theorem 1): L_g on the input becomes L_g on the output.

    Args:
      x: images `[batch, *spatial, in_features]`.
      kernel: the filter `[*window, in_features, out_features]`.
      attention_params: the parameters of the operator: for one that attends to responses a tree of arrays with a first
        axis of size `out_features`, for one that attends to the input a tree without that axis.
      group: the group H.
      attention: the operator, such as `gequi_jax.nn.ChannelAttention` or a function of `(signal, params, *, group)`, whose
        signal has an axis of input poses of size 1.
        Its attribute `attends_to`, "responses" where it has none, chooses the signal.
      residual: multiply by 1 - alpha (section 3.3); otherwise by alpha.
      strides: the step between output positions, along every axis.
      padding: zeros added on each side of every axis; "SAME" keeps the size, "VALID" adds none.
      kernel_dilation: the step between neighbouring kernel entries.
      window_mask: the offsets of the kernel that take part, all by default: a mask of the shape of the window, or
        flattened, or a function from that shape to a mask, such as `gequi_jax.actions.round_window`.
      allow_inequivariant: accept strides, padding and kernel shapes that break the symmetry.
      block_size: how many output channels are computed at once; the blocks are computed one after the other and recomputed
        in the backward pass. `out_features` or more computes all at once and recomputes nothing. Chosen from the shapes
        by default.
      return_maps: also return the maps alpha.
      precision: of the convolution after attention to the input, as in `jax.lax.conv_general_dilated`. Responses have no
        matrix product.

    Returns:
      Feature maps `[batch, *spatial, group, out_features]`. With `return_maps` also the tuple of maps of the operator:
      `[batch, *spatial, out_group, 1, in_features, out_features]` for responses, `[batch, *spatial, 1, in_features]` for
      the input, with axes of size 1 where a map does not vary.

    Raises:
      ValueError: if shapes do not fit, the block is not positive, or the strides, the padding or the shape of the kernel
        break equivariance.

    Reference: Romero et al. (2020), Eqs. 14 to 20.
    """
    check_spatial_axes(x, group, other_axes=("batch", "channels"))
    options = _Options(strides, padding, kernel_dilation, window_mask, allow_inequivariant, precision)
    modulation = Modulation(attention, group, residual)
    x = x[..., None, :]
    return _attentive_conv(
        x, kernel, attention_params, modulation, options, lifts=True, block_size=block_size, return_maps=return_maps
    )


def attentive_group_conv(
    x: FeatureMap,
    kernel: Float[Array, "*window group in_features out_features"],
    attention_params: Any,
    *,
    group: FiniteGroup,
    attention: AttentionOperator,
    residual: bool = True,
    strides: int = 1,
    padding: Padding = "SAME",
    kernel_dilation: int = 1,
    window_mask: WindowMask | None = None,
    allow_inequivariant: bool = False,
    block_size: int | None = None,
    return_maps: bool = False,
    precision: jax.lax.PrecisionLike = None,
) -> OutFeatureMap | tuple[OutFeatureMap, Maps]:
    """Group convolution whose responses, or whose input, are modulated by attention.

        [f * psi](x, h) = sum_c sum_m (1 - alpha_c(x, h, m)) sum_y f_c(y, m) psi_c(h^-1 (y - x), h^-1 m)

    Equivariant if the operator is (Theorem 1): L_g on the input becomes L_g on the output.

    Args:
      x: feature maps `[batch, *spatial, group, in_features]`.
      kernel: the filter `[*window, group, in_features, out_features]`.
      attention_params: the parameters of the operator: for one that attends to responses a tree of arrays with a first
        axis of size `out_features`, for one that attends to the input a tree without that axis.
      group: the group H.
      attention: the operator, such as `gequi_jax.nn.ChannelAttention` or a function of `(signal, params, *, group)`, whose
        signal has |H| input poses.
        Its attribute `attends_to`, "responses" where it has none, chooses the signal.
      residual: multiply by 1 - alpha (section 3.3); otherwise by alpha.
      strides: the step between output positions, along every axis.
      padding: zeros added on each side of every axis; "SAME" keeps the size, "VALID" adds none.
      kernel_dilation: the step between neighbouring kernel entries.
      window_mask: the offsets of the kernel that take part, all by default: a mask of the shape of the window, or
        flattened, or a function from that shape to a mask, such as `gequi_jax.actions.round_window`.
      allow_inequivariant: accept strides, padding and kernel shapes that break the symmetry.
      block_size: how many output channels are computed at once; the blocks are computed one after the other and recomputed
        in the backward pass. `out_features` or more computes all at once and recomputes nothing. Chosen from the shapes
        by default.
      return_maps: also return the maps alpha.
      precision: of the convolution after attention to the input, as in `jax.lax.conv_general_dilated`. Responses have no
        matrix product.

    Returns:
      Feature maps `[batch, *spatial, group, out_features]`. With `return_maps` also the tuple of maps of the operator:
      `[batch, *spatial, out_group, in_group, in_features, out_features]` for responses, `[batch, *spatial, group,
      in_features]` for the input, with axes of size 1 where a map does not vary.

    Raises:
      ValueError: if shapes do not fit, the block is not positive, or the strides, the padding or the shape of the kernel
        break equivariance.

    Reference: Romero et al. (2020), Eqs. 14 to 20.
    """
    check_spatial_axes(x, group, other_axes=("batch", "group", "channels"))
    check_group_axis(x, group, axis=-2)
    options = _Options(strides, padding, kernel_dilation, window_mask, allow_inequivariant, precision)
    modulation = Modulation(attention, group, residual)
    return _attentive_conv(
        x, kernel, attention_params, modulation, options, lifts=False, block_size=block_size, return_maps=return_maps
    )


class _Options(NamedTuple):
    """The arguments of `lifting_conv` and `group_conv`, besides the arrays and the group."""

    strides: int
    padding: Padding
    kernel_dilation: int
    window_mask: WindowMask | None
    allow_inequivariant: bool
    precision: jax.lax.PrecisionLike


def _attentive_conv(
    x: Array,
    kernel: Array,
    params: Any,
    modulation: Modulation,
    options: _Options,
    *,
    lifts: bool,
    block_size: int | None,
    return_maps: bool,
) -> Array | tuple[Array, Maps]:
    """Either convolution of `[batch, *spatial, in_poses, in_features]`. An image has one pose, its kernel no axis for it."""
    _check_channels(x, kernel)
    group = modulation.group
    if modulation.attends_to_input:
        modulated, maps = modulation(x, params)
        convolve, modulated = (lifting_conv, modulated[..., 0, :]) if lifts else (group_conv, modulated)
        y = convolve(modulated, kernel, group=group, **options._asdict())
        return (y, maps) if return_maps else y
    transform = transform_kernel if lifts else transform_group_kernel
    bank = transformed_bank(transform, kernel, group, options.window_mask, options.allow_inequivariant)
    bank = bank[..., None, :, :] if lifts else bank
    sampling = resolve_sampling(x, kernel, group, *options[:3], options.allow_inequivariant)
    return attended_conv(x, bank, params, modulation, sampling, block_size=block_size, return_maps=return_maps)


def _check_channels(x: Array, kernel: Array) -> None:
    if x.shape[-1] != kernel.shape[-2]:
        raise ValueError(
            f"kernel: it reads {kernel.shape[-2]} channels (in_features), but the input has {x.shape[-1]} on its last "
            f"axis; got shapes {kernel.shape} and {x.shape}."
        )

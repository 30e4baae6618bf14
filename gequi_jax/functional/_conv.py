"""Lifting and group convolutions, each one plain convolution with an expanded filter bank."""

import math
from collections.abc import Callable
from typing import Literal

import jax
import jax.numpy as jnp

from gequi_jax._checks import check_group_axis, check_shape_is_symmetric, check_spatial_axes
from gequi_jax._typing import Array, FeatureMap, Float, Grid, OutFeatureMap
from gequi_jax.actions import transform_group_kernel, transform_kernel
from gequi_jax.functional._convolution import convolve
from gequi_jax.functional._sampling import Sampling
from gequi_jax.functional._windows import WindowMask, resolve_window_mask
from gequi_jax.groups import FiniteGroup

Padding = Literal["SAME", "VALID"] | int


def lifting_conv(
    x: Grid,
    kernel: Float[Array, "*window in_features out_features"],
    *,
    group: FiniteGroup,
    strides: int = 1,
    padding: Padding = "SAME",
    kernel_dilation: int = 1,
    window_mask: WindowMask | None = None,
    allow_inequivariant: bool = False,
    precision: jax.lax.PrecisionLike = None,
) -> OutFeatureMap:
    """Convolution of images with every transformed copy of a kernel: from R^d to the group.

        [f * psi](x, h) = sum_c sum_y f_c(y) psi_c(h^-1 (y - x))

    Equivariant: L_g on the input becomes L_g on the output, a transformed grid with permuted poses.

    Args:
      x: images `[batch, *spatial, in_features]`.
      kernel: the filter `[*window, in_features, out_features]`.
      group: the group H.
      strides: the step between output positions, along every axis.
      padding: zeros added on each side of every axis; "SAME" keeps the size, "VALID" adds none.
      kernel_dilation: the step between neighbouring kernel entries.
      window_mask: the offsets of the kernel that take part, all by default: a mask of the shape of the window, or
        flattened, or a function from that shape to a mask, such as `gequi_jax.actions.round_window`.
      allow_inequivariant: accept strides, padding and kernel shapes that break the symmetry.
      precision: as in `jax.lax.conv_general_dilated`.

    Returns:
      Feature maps `[batch, *spatial, group, out_features]`.

    Raises:
      ValueError: if shapes do not fit, or the strides, the padding or the shape of the kernel break equivariance; the
        message names the sizes that preserve it.

    Reference: Romero et al. (2020), Eqs. 9 to 13.
    """
    check_spatial_axes(x, group, other_axes=("batch", "channels"))
    bank = transformed_bank(transform_kernel, kernel, group, window_mask, allow_inequivariant)
    sampling = resolve_sampling(x, kernel, group, strides, padding, kernel_dilation, allow_inequivariant)
    return _convolve_with_bank(x, bank, group, sampling, precision)


def group_conv(
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
    """Convolution on the group: a sum over the positions and poses of the input, relative to each output pose.

        [f * psi](x, h) = sum_c sum_m sum_y f_c(y, m) psi_c(h^-1 (y - x), h^-1 m)

    Equivariant: L_g on the input becomes L_g on the output.

    Args:
      x: feature maps `[batch, *spatial, group, in_features]`.
      kernel: the filter `[*window, group, in_features, out_features]`.
      group: the group H.
      strides: the step between output positions, along every axis.
      padding: zeros added on each side of every axis; "SAME" keeps the size, "VALID" adds none.
      kernel_dilation: the step between neighbouring kernel entries.
      window_mask: the offsets of the kernel that take part, all by default: a mask of the shape of the window, or
        flattened, or a function from that shape to a mask, such as `gequi_jax.actions.round_window`.
      allow_inequivariant: accept strides, padding and kernel shapes that break the symmetry.
      precision: as in `jax.lax.conv_general_dilated`.

    Returns:
      Feature maps `[batch, *spatial, group, out_features]`.

    Raises:
      ValueError: if shapes do not fit, or the strides, the padding or the shape of the kernel break equivariance; the
        message names the sizes that preserve it.

    Reference: Romero et al. (2020), Eqs. 8 to 13.
    """
    check_spatial_axes(x, group, other_axes=("batch", "group", "channels"))
    check_group_axis(x, group, axis=-2)
    bank = transformed_bank(transform_group_kernel, kernel, group, window_mask, allow_inequivariant)
    sampling = resolve_sampling(x, kernel, group, strides, padding, kernel_dilation, allow_inequivariant)
    return _convolve_with_bank(x, bank, group, sampling, precision)


def transformed_bank(
    transform: Callable[..., Array],
    kernel: Array,
    group: FiniteGroup,
    window_mask: WindowMask | None,
    allow_inequivariant: bool = False,
) -> Array:
    """The transformed copies of a kernel, all within the same mask.

    Raises:
      ValueError: if the mask does not have the size of the window, or the group exchanges axes on which the kernel has
        different sides and `allow_inequivariant` is not set.
    """
    window_shape = kernel.shape[: group.dim]
    if window_mask is None:
        bank = transform(kernel, group=group)
    else:
        mask = resolve_window_mask(window_mask, window_shape)
        mask = mask.reshape(*window_shape, *(1,) * (kernel.ndim - group.dim))
        # Masked once more after the action: interpolation reaches a little beyond the mask.
        bank = jnp.where(mask[None], transform(jnp.where(mask, kernel, 0), group=group), 0)
    if not allow_inequivariant:
        check_shape_is_symmetric("kernel", window_shape, group)
    return bank


def resolve_padding(
    spatial_shape: tuple[int, ...],
    window_shape: tuple[int, ...],
    *,
    strides: int,
    padding: Padding,
    kernel_dilation: int = 1,
    allow_inequivariant: bool = False,
) -> list[tuple[int, int]]:
    """The zeros before and after each axis, checked to keep the sampled positions symmetric about the centre.

    A stride s samples positions that are symmetric about the centre of the image only if it divides
    `size + 2 padding - span`, with the span of the dilated window: otherwise a rotated image is sampled elsewhere.

    Args:
      spatial_shape: the sides of the grid.
      window_shape: the sides of the kernel.
      strides: the step between output positions, along every axis.
      padding: zeros added on each side of every axis; "SAME" keeps the size, "VALID" adds none.
      kernel_dilation: the step between neighbouring kernel entries.
      allow_inequivariant: accept strides and padding that break the symmetry.

    Raises:
      ValueError: if the window does not fit, or the symmetry is broken and `allow_inequivariant` is not set.

    Reference: Romero et al. (2020), Appendix C.
    """
    if isinstance(padding, str) and padding not in ("SAME", "VALID"):
        raise ValueError(f"padding: expected 'SAME', 'VALID' or a number of zeros; got {padding!r}.")
    pads = []
    for size, side in zip(spatial_shape, window_shape, strict=True):
        span = (side - 1) * kernel_dilation + 1
        total = span - 1 if padding == "SAME" else 0 if padding == "VALID" else 2 * int(padding)
        before = total // 2
        residue = (size + total - span) % strides
        if size + total < span:
            raise ValueError(
                f"kernel: a window that spans {span} positions does not fit an axis of {size} with padding {padding!r}."
            )
        if not allow_inequivariant and total % 2:
            raise ValueError(
                f"padding: 'SAME' pads a window that spans {span} positions by {before} on one side and {total - before} "
                "on the other, which breaks equivariance; use an odd window, 'VALID', or a number of zeros "
                "(allow_inequivariant=True accepts it)."
            )
        if not allow_inequivariant and residue:
            raise ValueError(
                f"strides: stride {strides} with a window that spans {span} positions and padding {padding!r} samples "
                f"an axis of {size} asymmetrically, which breaks equivariance; sizes that work are "
                f"{size - residue} and {size - residue + strides}. Or use stride 1 and pool afterwards "
                "(allow_inequivariant=True accepts it)."
            )
        pads.append((before, total - before))
    return pads


def resolve_sampling(
    x: Array,
    kernel: Array,
    group: FiniteGroup,
    strides: int = 1,
    padding: Padding = "SAME",
    kernel_dilation: int = 1,
    allow_inequivariant: bool = False,
) -> Sampling:
    """Where a kernel `[*window, ...]` reads an input `[batch, *spatial, ...]`, checked as in `resolve_padding`."""
    pads = resolve_padding(
        x.shape[1 : 1 + group.dim],
        kernel.shape[: group.dim],
        strides=strides,
        padding=padding,
        kernel_dilation=kernel_dilation,
        allow_inequivariant=allow_inequivariant,
    )
    return Sampling(strides, tuple(pads), kernel_dilation)


def _convolve_with_bank(
    x: Array, bank: Array, group: FiniteGroup, sampling: Sampling, precision: jax.lax.PrecisionLike
) -> Array:
    """One plain convolution, with the poses and channels of the input merged, and those of the output.

    Args:
      x: images `[batch, *spatial, channels]` or feature maps `[batch, *spatial, group, channels]`.
      bank: `[out_group, *window, in_features, out_features]` or `[out_group, *window, group, in_features, out_features]`.
      group: the group H.
      sampling: strides, padding and dilation.
      precision: as in `jax.lax.conv_general_dilated`.
    """
    window_shape = bank.shape[1 : 1 + group.dim]
    filters = jnp.moveaxis(bank, 0, -2)
    filters = filters.reshape(*window_shape, math.prod(bank.shape[1 + group.dim : -1]), -1)
    x = x.reshape(*x.shape[: 1 + group.dim], math.prod(x.shape[1 + group.dim :]))
    if x.shape[-1] != filters.shape[-2]:
        raise ValueError(
            f"kernel: the filter bank reads {filters.shape[-2]} channels (poses times in_features), "
            f"but the input has {x.shape[-1]}; make in_features equal to the channels of the input."
        )
    y = convolve(x, filters, sampling, precision=precision)
    return y.reshape(*y.shape[:-1], group.order, -1)

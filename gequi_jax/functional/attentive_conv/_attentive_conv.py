"""Attentive lifting and group convolutions: an attention map between the convolution and its sums.

Full attention needs every response of every pair of output and input channels and poses. Its maps concern one output
channel at a time, so the responses exist for one block of output channels at a time, and are computed again in the
backward pass.
"""

import functools
import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gequi_jax._checks import check_group_axis, check_spatial_axes
from gequi_jax._typing import Array, Bool, FeatureMap, Float, Grid, OutFeatureMap
from gequi_jax.actions import transform_group_kernel, transform_kernel
from gequi_jax.functional._conv import group_conv, lifting_conv, resolve_padding, transformed_bank
from gequi_jax.functional.attentive_conv._operators import Maps, as_maps
from gequi_jax.functional.attentive_conv._shifts import correlate_each
from gequi_jax.groups import FiniteGroup

# The responses of one block on an accelerator, in bytes. A CPU gains nothing from more than one channel.
_BLOCK_BYTES = 2**29


def attentive_lifting_conv(
    x: Grid,
    kernel: Float[Array, "*window in_features out_features"],
    attention_params: Any,
    *,
    group: FiniteGroup,
    attention: Callable[..., Array | Maps],
    residual: bool = True,
    strides: int = 1,
    padding: str | int = "SAME",
    kernel_dilation: int = 1,
    window_mask: Bool[np.ndarray, " window"] | None = None,
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
      attention: the operator, such as `ChannelAttention` or a function of `(signal, params, *, group)`; in its signal
        the axis of input poses has size 1. Its attribute `attends_to`, "responses" where it has none, chooses the signal.
      residual: multiply by 1 - alpha (section 3.3); otherwise by alpha.
      strides, padding, kernel_dilation, window_mask, allow_inequivariant: as in `lifting_conv`.
      block_size: output channels worked on at once; the rest wait, and all are computed again in the backward pass.
        `out_features` or more is the direct form, without either. Chosen from the shapes by default.
      return_maps: also return the maps alpha.
      precision: of the convolution after attention to the input, as in `lifting_conv`. Responses have no matrix product.

    Returns:
      Feature maps `[batch, *spatial, group, out_features]`. With `return_maps` also the tuple of maps of the operator:
      `[batch, *spatial, out_group, 1, in_features, out_features]` for responses, `[batch, *spatial, 1, in_features]` for
      the input, with axes of size 1 where a map does not vary.

    Raises:
      ValueError: if shapes do not fit, the block is not positive, or the strides or the padding break equivariance.

    Reference: Romero et al. (2020), Eqs. 14 to 20.
    """
    check_spatial_axes(x, group, other_axes=("batch", "channels"))
    _check_channels(x, kernel)
    conv = {
        "strides": strides,
        "padding": padding,
        "kernel_dilation": kernel_dilation,
        "allow_inequivariant": allow_inequivariant,
    }
    if _attends_to_input(attention):
        modulated, maps = _modulated(x[..., None, :], attention, attention_params, group, residual)
        y = lifting_conv(
            modulated[..., 0, :], kernel, group=group, window_mask=window_mask, precision=precision, **conv
        )
        return (y, maps) if return_maps else y
    bank = transformed_bank(transform_kernel, kernel, group, window_mask)[..., None, :, :]
    return _attended(
        x[..., None, :], bank, attention_params, group, attention, residual, block_size, return_maps, **conv
    )


def attentive_group_conv(
    x: FeatureMap,
    kernel: Float[Array, "*window group in_features out_features"],
    attention_params: Any,
    *,
    group: FiniteGroup,
    attention: Callable[..., Array | Maps],
    residual: bool = True,
    strides: int = 1,
    padding: str | int = "SAME",
    kernel_dilation: int = 1,
    window_mask: Bool[np.ndarray, " window"] | None = None,
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
      attention_params, group, attention, residual, block_size, return_maps: as in `attentive_lifting_conv`, with |H|
        input poses.
      strides, padding, kernel_dilation, window_mask, allow_inequivariant, precision: as there.

    Returns:
      Feature maps `[batch, *spatial, group, out_features]`. With `return_maps` also the tuple of maps of the operator:
      `[batch, *spatial, out_group, in_group, in_features, out_features]` for responses, `[batch, *spatial, group,
      in_features]` for the input, with axes of size 1 where a map does not vary.

    Raises:
      ValueError: if shapes do not fit, the block is not positive, or the strides or the padding break equivariance.

    Reference: Romero et al. (2020), Eqs. 14 to 20.
    """
    check_spatial_axes(x, group, other_axes=("batch", "group", "channels"))
    check_group_axis(x, group, axis=-2)
    _check_channels(x, kernel)
    conv = {
        "strides": strides,
        "padding": padding,
        "kernel_dilation": kernel_dilation,
        "allow_inequivariant": allow_inequivariant,
    }
    if _attends_to_input(attention):
        modulated, maps = _modulated(x, attention, attention_params, group, residual)
        y = group_conv(modulated, kernel, group=group, window_mask=window_mask, precision=precision, **conv)
        return (y, maps) if return_maps else y
    bank = transformed_bank(transform_group_kernel, kernel, group, window_mask)
    return _attended(x, bank, attention_params, group, attention, residual, block_size, return_maps, **conv)


def _attended(
    x: FeatureMap,
    bank: Float[Array, "out_group *window in_poses in_features out_features"],
    params: Any,
    group: FiniteGroup,
    attention: Callable[..., Array | Maps],
    residual: bool,
    block_size: int | None,
    return_maps: bool,
    **conv: Any,
):
    """The sums of modulated responses, over blocks of output channels."""
    out_features = bank.shape[-1]
    misshapen = {leaf.shape for leaf in jax.tree.leaves(params) if leaf.shape[:1] != (out_features,)}
    if misshapen:
        raise ValueError(
            f"attention_params: expected arrays with a first axis of size {out_features}, one entry for each output "
            f"channel, since the operator attends to responses; got shapes {sorted(misshapen)}."
        )

    def one_channel(kernel_and_params):
        kernel, params = kernel_and_params
        responses = _responses(x, kernel, group, **conv)
        modulated, maps = _modulated(responses, attention, params, group, residual)
        return modulated.sum(axis=(-2, -1)), maps if return_maps else ()

    channels = (jnp.moveaxis(bank, -1, 0), params)
    if block_size is None:
        block_size = _block_size(jax.eval_shape(functools.partial(_responses, group=group, **conv), x, bank[..., 0]))
    elif not isinstance(block_size, int) or block_size < 1:
        raise ValueError(f"block_size: expected a positive number of output channels, or None; got {block_size!r}.")
    if block_size >= out_features > 1:
        y, maps = jax.vmap(one_channel)(channels)
    elif block_size == 1:
        # Without the axis of a block: XLA is slow on the CPU with arrays of one rank more.
        y, maps = jax.lax.map(jax.checkpoint(one_channel), channels)
    else:
        y, maps = jax.lax.map(jax.checkpoint(one_channel), channels, batch_size=block_size)
    y = jnp.moveaxis(y, 0, -1)
    return (y, tuple(jnp.moveaxis(one_map, 0, -1) for one_map in maps)) if return_maps else y


def _responses(
    x: FeatureMap,
    kernel: Float[Array, "out_group *window in_poses in_features"],
    group: FiniteGroup,
    *,
    strides: int,
    padding: str | int,
    kernel_dilation: int,
    allow_inequivariant: bool,
) -> Float[Array, "batch *spatial out_group in_poses in_features"]:
    """The convolution of every input channel and pose with one output channel, before all sums (Eq. 16)."""
    dim = group.dim
    pads = resolve_padding(
        x.shape[1 : 1 + dim],
        kernel.shape[1 : 1 + dim],
        strides=strides,
        padding=padding,
        kernel_dilation=kernel_dilation,
        allow_inequivariant=allow_inequivariant,
    )
    filters = jnp.moveaxis(kernel, 0, dim)  # [*window, out_group, in_poses, in_features]
    return correlate_each(
        x[..., None, :, :], filters, dim=dim, strides=strides, pads=pads, kernel_dilation=kernel_dilation
    )


def _modulated(signal: Array, attention: Callable, params: Any, group: FiniteGroup, residual: bool):
    maps = as_maps(attention(signal, params, group=group))
    for one_map in maps:
        fits = one_map.ndim == signal.ndim and all(
            size in (1, whole) for size, whole in zip(one_map.shape, signal.shape, strict=True)
        )
        if not fits:
            raise ValueError(
                f"attention: expected maps with the axes of their signal {signal.shape}, of size 1 where they do not "
                f"vary; got shape {one_map.shape}."
            )
    alpha = math.prod(maps[1:], start=maps[0])
    return (signal - alpha * signal if residual else alpha * signal), maps


def _block_size(responses: jax.ShapeDtypeStruct) -> int:
    """As many output channels as the responses of a block may take, and at least one."""
    if jax.default_backend() == "cpu":
        return 1
    return max(1, _BLOCK_BYTES // max(1, math.prod(responses.shape) * responses.dtype.itemsize))


def _attends_to_input(attention: Callable) -> bool:
    attends_to = getattr(attention, "attends_to", "responses")
    if attends_to not in ("responses", "input"):
        raise ValueError(f"attention: expected an operator that attends to 'responses' or 'input'; got {attends_to!r}.")
    return attends_to == "input"


def _check_channels(x: Array, kernel: Array):
    if x.shape[-1] != kernel.shape[-2]:
        raise ValueError(
            f"kernel: it reads {kernel.shape[-2]} channels (in_features), but the input has {x.shape[-1]} on its last "
            f"axis; got shapes {kernel.shape} and {x.shape}."
        )

"""Sums of modulated responses, over blocks of output channels.

Attention to responses needs the response of every pair of output and input channels and poses. A map concerns one output
channel at a time, so the responses exist for one block of output channels at a time, and are recomputed in the backward
pass.
"""

import functools
import math
from typing import Any, NamedTuple

import jax
import jax.export
import jax.numpy as jnp

from gequi_jax._checks import check_positive_integer
from gequi_jax._typing import Array, FeatureMap, Float
from gequi_jax.functional._platform import by_platform
from gequi_jax.functional._sampling import Sampling
from gequi_jax.functional.attentive_conv._modulation import Modulation
from gequi_jax.functional.attentive_conv._operators import Maps
from gequi_jax.functional.attentive_conv._shifts import WRITTEN_OUT, correlate_each_by
from gequi_jax.functional.attentive_conv._streamed import streamed_conv

# The responses of one block on an accelerator, in bytes. A CPU gains nothing from more than one channel.
_BLOCK_BYTES = 2**29

Bank = Float[Array, "out_group *window in_poses in_features out_features"]


class _Plan(NamedTuple):
    """What differs between platforms: the output channels of a block, and the shifted copies that are written out.

    Where attention is streamed there is no plan.
    """

    block_size: int
    written_out: int


def attended_conv(
    x: FeatureMap,
    bank: Bank,
    params: Any,
    modulation: Modulation,
    sampling: Sampling,
    *,
    block_size: int | None,
    return_maps: bool,
) -> Array | tuple[Array, Maps]:
    """The convolution of feature maps with a filter bank, whose responses are modulated before they are summed.

    Args:
      x: `[batch, *spatial, in_poses, in_features]`.
      bank: the transformed filters.
      params: the parameters of the operator, a tree of arrays with a first axis of size `out_features`.
      modulation: the operator.
      sampling: strides, padding and dilation.
      block_size: output channels in a block; chosen for the platform if None, and then streamed on a CPU where the
        operator allows it.
      return_maps: also return the maps.

    Raises:
      ValueError: if the parameters do not have an entry for each output channel, or the block is not positive.
    """
    out_features = bank.shape[-1]
    misshapen = {leaf.shape for leaf in jax.tree.leaves(params) if leaf.shape[:1] != (out_features,)}
    if misshapen:
        raise ValueError(
            f"attention_params: expected arrays with a first axis of size {out_features}, one entry for each output "
            f"channel, since the operator attends to responses; got shapes {sorted(misshapen)}."
        )
    function = functools.partial(_attended_in_blocks, modulation=modulation, sampling=sampling, return_maps=return_maps)
    plans: dict[str, _Plan | None] = {
        platform: _Plan(_block_size(platform, block_size, x, bank, sampling), written_out)
        for platform, written_out in WRITTEN_OUT.items()
    }
    if block_size is None and not return_maps and modulation.response_attention(params) is not None:
        plans["cpu"] = None
    y, maps = by_platform(function, x, bank, params, **plans)
    return (y, maps) if return_maps else y


def _attended_in_blocks(
    plan: _Plan | None,
    x: Array,
    bank: Bank,
    params: Any,
    *,
    modulation: Modulation,
    sampling: Sampling,
    return_maps: bool,
) -> tuple[Array, Maps]:
    if plan is None:
        attention = modulation.response_attention(params)
        assert attention is not None, "the plan says that attention can be streamed"
        return streamed_conv(x, bank, attention, sampling, group=modulation.group, residual=modulation.residual), ()

    def one_channel(kernel_and_params):
        kernel, params = kernel_and_params
        modulated, maps = modulation(_responses(x, kernel, sampling, plan.written_out), params)
        return modulated.sum(axis=(-2, -1)), maps if return_maps else ()

    kernels = jnp.moveaxis(bank, -1, 0)
    channels = (kernels, params)
    if plan.block_size >= len(kernels) > 1:
        y, maps = jax.vmap(one_channel)(channels)
    elif plan.block_size == 1:
        # Without the axis of a block: XLA is slow on the CPU with arrays of one rank more.
        y, maps = jax.lax.map(jax.checkpoint(one_channel), channels)
    else:
        y, maps = jax.lax.map(jax.checkpoint(one_channel), channels, batch_size=plan.block_size)
    return jnp.moveaxis(y, 0, -1), tuple(jnp.moveaxis(one_map, 0, -1) for one_map in maps)


def _responses(
    x: FeatureMap, kernel: Float[Array, "out_group *window in_poses in_features"], sampling: Sampling, written_out: int
) -> Float[Array, "batch *out_spatial out_group in_poses in_features"]:
    """The convolution of every input channel and pose with one output channel, before all sums (Eq. 16)."""
    filters = jnp.moveaxis(kernel, 0, len(sampling.pads))  # [*window, out_group, in_poses, in_features]
    return correlate_each_by(written_out, x[..., None, :, :], filters, sampling=sampling)


def _block_size(platform: str, block_size: int | None, x: Array, bank: Bank, sampling: Sampling) -> int:
    if block_size is not None:
        return check_positive_integer("block_size", block_size)
    # The batch of an exported program may be symbolic, and its responses of any size.
    if platform == "cpu" or jax.export.is_symbolic_dim(x.shape[0]):
        return 1
    function = functools.partial(_responses, sampling=sampling, written_out=1)
    responses = jax.eval_shape(function, x, bank[..., 0])
    return max(1, _BLOCK_BYTES // max(1, math.prod(responses.shape) * responses.dtype.itemsize))

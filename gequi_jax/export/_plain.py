"""Networks of ordinary layers: filter banks expanded, constants folded."""

import functools
from typing import Any

from flax import nnx

from gequi_jax import nn
from gequi_jax._modules import with_layers_replaced
from gequi_jax.export._plain_layers import (
    PlainAttentiveConv,
    PlainBatchNorm,
    PlainConv,
    PlainConvTranspose,
    PlainIdentity,
    PlainLayerNorm,
    PlainLinear,
    PlainSelfAttention,
)
from gequi_jax.groups import FiniteGroup, trivial_group


def to_plain(model: nnx.Module) -> nnx.Module:
    """The same network with ordinary layers in place of equivariant ones: a copy, in `eval()` mode.

    A lifting or group convolution becomes an `nnx.Conv` with the expanded filter bank, a transposed one an
    `nnx.ConvTranspose`, a `GroupLinear` an `nnx.Linear`. Batch norms become multiplications and sums of constants, dropout
    goes; the positional and pose encodings of self-attention in windows become tables. Self-attention, attention maps and
    layers that `gequi_jax.models.restrict` copied keep their form. Convolutions take the form that is fastest on the
    platform, as in the model. An `nnx.Linear` of all poses has more products than the block-diagonal `GroupLinear`.

    Args:
      model: a network or layer of this package, or modules made of them.

    Returns:
      The network, with the outputs of the model up to rounding; it does not train as the model would.

    Example:
      >>> from gequi_jax.models import create_model
      >>> plain = to_plain(create_model("digits_alpha_f_p4_cnn", rngs=nnx.Rngs(0)))
      >>> type(plain.convs[1].conv.conv).__name__
      'Conv'
    """
    copy: Any = nnx.clone(model)
    copy.eval()
    plain_model = with_layers_replaced(copy, _replace)
    if hasattr(plain_model, "spec"):
        # It describes the model: weights of plain layers would not fit it.
        del plain_model.spec
    plain_model.eval()
    return plain_model


def _replace(module: Any) -> nnx.Module | None:
    if getattr(module, "keeps_form", False):
        return module
    layer = _plain(module)
    group = getattr(module, "group", None)
    if layer is None and isinstance(group, FiniteGroup):
        # What is left asks the group for the dimension of the images only.
        module.group = trivial_group(group.dim)
    return layer


@functools.singledispatch
def _plain(module: Any) -> nnx.Module | None:
    """The ordinary form of a layer, None for a module that stays."""
    return None


@_plain.register(nn.LiftingConv)
@_plain.register(nn.GroupConv)
def _(layer: Any) -> nnx.Module:
    return PlainConv(layer)


@_plain.register
def _(layer: nn.GroupConvTranspose) -> nnx.Module:
    return PlainConvTranspose(layer)


@_plain.register(nn.VectorLifting)
@_plain.register(nn.TensorLifting)
@_plain.register(nn.VectorReadout)
@_plain.register(nn.TensorReadout)
@_plain.register(nn.RestrictPoses)
def _(layer: Any) -> nnx.Module:
    # Products with constant matrices or a permutation already, for which it needs its group.
    return layer


@_plain.register(nn.AttentiveLiftingConv)
@_plain.register(nn.AttentiveGroupConv)
def _(layer: Any) -> nnx.Module:
    # Attention to responses is inside the convolution.
    return PlainAttentiveConv(layer) if layer.attention.attends_to == "input" else layer


@_plain.register(nn.LiftingSelfAttention)
@_plain.register(nn.GroupSelfAttention)
def _(layer: Any) -> nnx.Module:
    # The encodings of global attention depend on the size of the image.
    return layer if layer.window_shape is None else PlainSelfAttention(layer)


@_plain.register(nn.FrameSelfAttention)
def _(layer: Any) -> nnx.Module:
    # It asks the group for the frames.
    layer.qkv, layer.out = PlainLinear(layer.qkv), PlainLinear(layer.out)
    return layer


@_plain.register
def _(layer: nn.BispectrumReadout) -> nnx.Module:
    # It asks the group for its representations.
    return layer


@_plain.register
def _(layer: nn.GroupLinear) -> nnx.Module:
    return PlainLinear(layer)


@_plain.register
def _(layer: nnx.Dropout) -> nnx.Module:
    return PlainIdentity()


@_plain.register
def _(layer: nn.ChannelNorm) -> nnx.Module:
    return PlainLayerNorm(layer)


@_plain.register
def _(layer: nn.BatchNorm) -> nnx.Module:
    return PlainBatchNorm(layer)

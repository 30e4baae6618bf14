"""What every kind of layer becomes when its symmetry is restricted from H to K: the same function, more parameters.

The feature map f on H is the feature map `restrict_poses(f)` on K: channel c of coset i is channel (c, i) of |H| / |K|
times as many, with f_i(x, k) = f(x, k r_i).
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from gequi_jax import nn
from gequi_jax._typing import Array
from gequi_jax.groups import FiniteGroup, right_cosets
from gequi_jax.models._restricted_layer import (
    AttentionOfAnImage,
    RestrictedAttention,
    RestrictedFunction,
    RestrictedLayer,
    copies,
)


@functools.singledispatch
def restricted(layer: Any, group: FiniteGroup, subgroup: FiniteGroup) -> nnx.Module | None:
    """The layer for a subgroup, a copy; None for a module that is no layer but holds layers.

    Raises:
      ValueError: if there is no rule for a module with parameters of its own.
    """
    for name, value in vars(layer).items():
        if isinstance(value, nnx.Variable):
            raise ValueError(
                f"model: there is no rule for {type(layer).__name__}, which holds {name}; expected layers of gequi_jax.nn, "
                "nnx.Linear and nnx.Dropout, and modules made of them."
            )
    return None


@restricted.register(nn.LiftingConv)
def _lifting_conv(layer: Any, group: FiniteGroup, subgroup: FiniteGroup) -> nnx.Module:
    """psi_i(x) = psi(r_i^-1 x), to output coset i."""
    representatives = right_cosets(group, subgroup)[:, subgroup.identity]
    kernel = jnp.moveaxis(layer.filter_bank()[representatives], 0, -1)  # [*window, c, o, i]
    return _resized(layer, kernel.reshape(*kernel.shape[:-2], -1), subgroup, in_factor=1)


@restricted.register(nn.GroupConv)
def _group_conv(layer: Any, group: FiniteGroup, subgroup: FiniteGroup) -> nnx.Module:
    """psi_ij(x, k) = psi(r_i^-1 x, r_i^-1 k r_j), from input coset j to output coset i."""
    cosets = right_cosets(group, subgroup)
    kernel = jnp.moveaxis(layer.filter_bank()[cosets[:, subgroup.identity]], 0, -1)  # [*window, m, c, o, i]
    return _resized(layer, _by_coset(kernel, cosets), subgroup, in_factor=len(cosets))


@restricted.register
def _(layer: nn.GroupConvTranspose, group: FiniteGroup, subgroup: FiniteGroup) -> nnx.Module:
    """psi_ij(x, k) = psi(r_i^-1 x, r_i^-1 k r_j), from input coset i to output coset j."""
    cosets = right_cosets(group, subgroup)
    bank = layer.filter_bank()[cosets[:, subgroup.identity]].swapaxes(-1, -2)
    kernel = _by_coset(jnp.moveaxis(bank, 0, -1), cosets).swapaxes(-1, -2)
    return _resized(layer, kernel, subgroup, in_factor=len(cosets))


@restricted.register(nn.VectorReadout)
@restricted.register(nn.TensorReadout)
def _(layer: Any, group: FiniteGroup, subgroup: FiniteGroup) -> nnx.Module:
    """w_i = r_i w, or W_i = r_i W r_i^T, from input coset i."""
    frames = jnp.asarray(group.matrices[right_cosets(group, subgroup)[:, subgroup.identity]], layer.kernel.dtype)
    kernel = jnp.einsum("ide,co...e->cio...d", frames, layer.kernel[...], precision="highest")
    if layer.rank == 2:
        kernel = jnp.einsum("ide,cioek->ciodk", frames, kernel, precision="highest")
    wide = nnx.clone(layer)
    wide.group = subgroup
    wide.in_features = layer.in_features * len(frames)
    wide.kernel = nnx.Param(kernel.reshape(wide.in_features, *layer.kernel.shape[1:]))
    return wide


@restricted.register(nn.VectorLifting)
@restricted.register(nn.TensorLifting)
def _(layer: nnx.Module, group: FiniteGroup, subgroup: FiniteGroup) -> nnx.Module:
    return RestrictedFunction(layer, input_group=None, output_group=group, subgroup=subgroup)


@restricted.register
def _(layer: nn.RestrictPoses, group: FiniteGroup, subgroup: FiniteGroup) -> nnx.Module:
    """A permutation of channels: the cosets of K in its input, in the order in which its output has them."""
    return RestrictedFunction(layer, input_group=layer.input_group, output_group=group, subgroup=subgroup)


@restricted.register
def _(layer: RestrictedFunction, group: FiniteGroup, subgroup: FiniteGroup) -> nnx.Module:
    input_group = None if layer.input_group is None else group
    return RestrictedFunction(layer, input_group=input_group, output_group=group, subgroup=subgroup)


@restricted.register
def _(layer: nn.GroupLinear, group: FiniteGroup, subgroup: FiniteGroup) -> nnx.Module:
    """W_ij(k) = W(r_i^-1 k r_j), from input coset j to output coset i."""
    cosets = right_cosets(group, subgroup)
    relative = group.cayley_table[group.inverses[cosets[:, subgroup.identity]]]  # [i, m] -> r_i^-1 m
    kernel = jnp.moveaxis(layer.kernel[...][relative], 0, -1)  # [m, c, o, i]
    return _resized(layer, _by_coset(kernel, cosets), subgroup, in_factor=len(cosets))


@restricted.register
def _(layer: nn.BatchNorm, group: FiniteGroup, subgroup: FiniteGroup) -> nnx.Module:
    """Statistics and parameters of its own for each coset."""
    return _repeated(layer, len(right_cosets(group, subgroup)), subgroup, ("mean", "var", "scale", "bias"))


@restricted.register
def _(layer: nn.LayerNorm, group: FiniteGroup, subgroup: FiniteGroup) -> nnx.Module:
    """The same statistics, and parameters of its own for each coset."""
    return _repeated(layer, len(right_cosets(group, subgroup)), subgroup, ("scale", "bias"))


@restricted.register
def _(layer: nn.LayerScale, group: FiniteGroup, subgroup: FiniteGroup) -> nnx.Module:
    """Factors of its own for each coset."""
    cosets = len(right_cosets(group, subgroup))
    wide = nnx.clone(layer)
    wide.num_features = layer.num_features * cosets
    _repeat_parameters(wide, cosets, ("scale",))
    return wide


@restricted.register
def _(layer: nn.BispectrumReadout, group: FiniteGroup, subgroup: FiniteGroup) -> nnx.Module:
    raise ValueError(
        f"model: its readout is the bispectrum of {group.name}, which is no bispectrum of {subgroup.name}; use a network "
        'with readout="mean" or "max".'
    )


@restricted.register
def _(layer: nnx.Linear, group: FiniteGroup, subgroup: FiniteGroup) -> nnx.Module:
    """W_ij = W for i = j and 0 otherwise: a linear map of the channels of every pose."""
    cosets = len(right_cosets(group, subgroup))
    wide = nnx.clone(layer)
    kernel = layer.kernel[...]
    wide.kernel = nnx.Param(jnp.kron(kernel, jnp.eye(cosets, dtype=kernel.dtype)))
    wide.in_features, wide.out_features = layer.in_features * cosets, layer.out_features * cosets
    _repeat_parameters(wide, cosets, ("bias",))
    return wide


@restricted.register
def _(layer: nnx.Dropout, group: FiniteGroup, subgroup: FiniteGroup) -> nnx.Module:
    return nnx.clone(layer)


@restricted.register
def _(layer: nn.AttentiveLiftingConv, group: FiniteGroup, subgroup: FiniteGroup) -> nnx.Module:
    """A lifting convolution behind the same attention to the image; attention to responses has copies."""
    if layer.attention.attends_to != "input":
        return RestrictedLayer(layer, group=group, subgroup=subgroup, reads_images=True)
    wide: Any = _lifting_conv(layer, group, subgroup)
    wide.attention = AttentionOfAnImage(layer.attention, group)
    return wide


@restricted.register
def _(layer: nn.AttentiveGroupConv, group: FiniteGroup, subgroup: FiniteGroup) -> nnx.Module:
    """A group convolution behind copies of the attention to the input; attention to responses has copies of all."""
    if layer.attention.attends_to != "input":
        return RestrictedLayer(layer, group=group, subgroup=subgroup, reads_images=False)
    wide: Any = _group_conv(layer, group, subgroup)
    cosets = len(right_cosets(group, subgroup))
    wide.attention = RestrictedAttention(layer.attention, group, subgroup)
    params = jax.tree.map(lambda leaf: copies(leaf, cosets), layer.attention_params)
    wide.attention_params = nnx.data(params)
    return wide


@restricted.register(nn.LiftingSelfAttention)
def _(layer: nnx.Module, group: FiniteGroup, subgroup: FiniteGroup) -> nnx.Module:
    return RestrictedLayer(layer, group=group, subgroup=subgroup, reads_images=True)


@restricted.register(nn.GroupSelfAttention)
@restricted.register(nn.FrameSelfAttention)
@restricted.register(nn.ChannelNorm)
def _(layer: nnx.Module, group: FiniteGroup, subgroup: FiniteGroup) -> nnx.Module:
    return RestrictedLayer(layer, group=group, subgroup=subgroup, reads_images=False)


@restricted.register
def _(layer: RestrictedLayer, group: FiniteGroup, subgroup: FiniteGroup) -> nnx.Module:
    return RestrictedLayer(layer, group=group, subgroup=subgroup, reads_images=layer.reads_images)


def _by_coset(kernel: Array, cosets: Any) -> Array:
    """`[*window, k, (c, j), (o, i)]` from a kernel `[*window, m, c, o, i]` with m = k r_j."""
    *window, _, channels, _, _ = kernel.shape
    split = jnp.take(kernel, cosets.T.reshape(-1), axis=-4)
    split = split.reshape(*window, *cosets.T.shape, channels, -1)
    return split.swapaxes(-2, -3).reshape(*window, cosets.shape[1], channels * len(cosets), -1)


def _resized(layer: Any, kernel: Array, subgroup: FiniteGroup, *, in_factor: int) -> nnx.Module:
    wide = nnx.clone(layer)
    out_factor = kernel.shape[-1] // layer.out_features
    wide.group = subgroup
    wide.kernel = nnx.Param(kernel)
    wide.in_features, wide.out_features = layer.in_features * in_factor, kernel.shape[-1]
    _repeat_parameters(wide, out_factor, ("bias",))
    return wide


def _repeated(layer: Any, count: int, subgroup: FiniteGroup, names: tuple[str, ...]) -> nnx.Module:
    wide = nnx.clone(layer)
    wide.group = subgroup
    wide.num_features = layer.num_features * count
    _repeat_parameters(wide, count, names)
    return wide


def _repeat_parameters(layer: Any, count: int, names: tuple[str, ...]) -> None:
    for name in names:
        variable = getattr(layer, name)
        if variable is not None:
            setattr(layer, name, type(variable)(jnp.repeat(variable[...], count)))

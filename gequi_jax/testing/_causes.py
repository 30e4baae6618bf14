"""The likely cause of a loss of equivariance in a layer, inferred from its attributes and shapes."""

import math
from collections.abc import Sequence

import jax
import numpy as np
from flax import nnx

from gequi_jax.groups import FiniteGroup
from gequi_jax.testing._layer_groups import contains

GENERIC = (
    "it treats positions or poses differently; check for absolute positions, a crop or a pad that is not the same on "
    "every side, or a fixed index into the group axis."
)


def likely_cause(module: nnx.Module, inputs: Sequence[jax.Array], group: FiniteGroup) -> str | None:
    """A sentence on a module whose input is equivariant and whose output is not, None if nothing stands out."""
    name = type(module).__name__
    own_group = getattr(module, "group", None)
    if isinstance(own_group, FiniteGroup):
        if not contains(own_group, group):
            return f"{name} was built for {own_group.name}, not for {group.name}."
        group = own_group
    pose_index = getattr(module, "pose_index", None)
    if callable(pose_index) and not _is_invariant(np.asarray(pose_index(group)), group):
        return f"its pose index, {pose_index.__name__}, is not invariant under the group; use key_pose, the default."
    spatial_shape = inputs[0].shape[1 : 1 + group.dim] if inputs else ()
    return _stride_cause(module, spatial_shape) or _parameter_cause(module, group) or _plain_layer_cause(module)


def resampling_cause(before: tuple[int, ...], after: tuple[int, ...], group: FiniteGroup) -> str:
    """A sentence on code between modules that breaks equivariance, from the shapes before and after it."""
    for old, new in zip(before[1 : 1 + group.dim], after[1 : 1 + group.dim], strict=False):
        if new < old and old % 2 and (old // 2 == new):
            return (
                f"a map of side {old} became one of side {new}: blocks of 2 do not tile an odd side; pool even sides."
            )
        if new < old and (old - new) % 2:
            return (
                f"a map of side {old} became one of side {new}: a crop of {old - new} cannot be the same on both sides, "
                "nor a stride symmetric."
            )
    return GENERIC


def _is_invariant(table: np.ndarray, group: FiniteGroup) -> bool:
    return all(np.array_equal(table[np.ix_(k, k, k)], table) for k in group.cayley_table)


def _stride_cause(module: nnx.Module, spatial_shape: tuple[int, ...]) -> str | None:
    strides = getattr(module, "strides", 1)
    stride = strides if isinstance(strides, int) else max(strides or (1,))
    side = getattr(module, "kernel_size", None)
    side = side if side is None or isinstance(side, int) else max(side)
    padding = getattr(module, "padding", None)
    if side is None or not spatial_shape:
        return None
    if padding == "SAME" and side % 2 == 0:
        return f"'SAME' pads an even window of {side} by one more on one side than on the other; use an odd window."
    if stride > 1:
        return (
            f"a stride of {stride} on a map of shape {tuple(spatial_shape)} samples positions that are not symmetric about "
            "its centre; use stride 1 and pool, or another size."
        )
    if isinstance(padding, (tuple, list)) and any(len(set(np.ravel(pair).tolist())) > 1 for pair in padding):
        return f"its padding {padding} is not the same on both sides."
    return None


def _parameter_cause(module: nnx.Module, group: FiniteGroup) -> str | None:
    if "Norm" not in type(module).__name__:
        return None
    for parameter in jax.tree.leaves(nnx.state(module, nnx.Param)):
        if group.order > 1 and (group.order in parameter.shape[:-1] or parameter.shape[-1] % group.order == 0):
            return (
                f"it has parameters of shape {parameter.shape}, one for each pose; share them over the group axis, as "
                "gequi_jax.nn.LayerNorm and BatchNorm do."
            )
    return (
        "its statistics are not shared by all poses and positions that the group exchanges; use gequi_jax.nn.LayerNorm or "
        "BatchNorm."
    )


def _plain_layer_cause(module: nnx.Module) -> str | None:
    if isinstance(module, nnx.Conv | nnx.ConvTranspose) and math.prod(np.atleast_1d(module.kernel_size)) > 1:
        return "a plain convolution has one kernel for all poses; use gequi_jax.nn.GroupConv, or LiftingConv on images."
    if isinstance(module, nnx.Linear | nnx.LinearGeneral | nnx.Conv):
        return "a dense layer across the group axis mixes poses; apply it to the channels of each pose, the last axis."
    if isinstance(module, nnx.MultiHeadAttention):
        return "attention without an encoding of relative, transformed positions; use gequi_jax.nn.GroupSelfAttention."
    return None

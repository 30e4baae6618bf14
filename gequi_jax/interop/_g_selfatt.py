"""Arrays of the code published with Romero & Cordonnier (2021) into our layers and networks.

Differences from the published code:

* It divides scores by the root of the layer's input channels, this package by the root of the features of a head: the
  weights of the query are rescaled.
* Channel number `feature * heads + head` of a projection becomes the axes `[heads, features]`.
* Its element v acts on coordinates by M_v; ours acts on functions, and so on coordinates by the inverse: v is our M_v^-1.
* Its pose table is not invariant. A layer computes what the published one does only if it was built with
  `pose_index=gequi_jax.functional.published_pose`; `from_pytorch` does that. With another index of as many rows the
  arrays fit too, and the network is equivariant but another function, unless the group embedding is 0.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from flax import nnx
from jaxtyping import Int

from gequi_jax import functional, models
from gequi_jax.actions import inverse_act_on_positions, relative_positions, window_offsets
from gequi_jax.groups import FiniteGroup, rotations_and_mirrors
from gequi_jax.interop._arrays import ArrayReader
from gequi_jax.nn import (
    CoordinateMLP,
    CoordinateTable,
    GroupSelfAttention,
    GroupSelfAttentionBlock,
    LiftingSelfAttention,
)

# What computes the published function: its order of pooling, its epsilon and its pose table.
_PUBLISHED = {"readout": "sum_then_max", "epsilon": 1e-12, "pose_index": functional.published_pose}
# The published PCam network pools a map of 7x7 and drops a row and a column.
_PUBLISHED_PCAM = {"crops": (0, 2, 1, 1), "allow_inequivariant": True}


def load(module: nnx.Module, state: Mapping[str, np.ndarray]) -> nnx.Module:
    """Fills a module in place; see `gequi_jax.interop.load_pytorch`."""
    loaders = {
        models.GSANet: _network,
        GroupSelfAttentionBlock: _block,
        LiftingSelfAttention: _attention,
        GroupSelfAttention: _attention,
    }
    loader = loaders.get(type(module))
    if loader is None:
        raise ValueError(
            f"module: the code of Romero & Cordonnier (2021) has arrays for {', '.join(kind.__name__ for kind in loaders)}; "
            f"got {type(module).__name__}."
        )
    reader = ArrayReader(_without_wrapper(state))
    loader(reader, "", module)
    reader.write()
    return module


def build(model_name: str, state: Mapping[str, np.ndarray]) -> nnx.Module:
    """Builds a network for the arrays and fills it; see `gequi_jax.interop.from_pytorch`."""
    info = models.model_info(model_name)
    if not model_name.endswith("_sa"):
        raise ValueError(
            f"model_name: the code of Romero & Cordonnier (2021) has no {model_name!r} of {info.paper}; expected a name "
            f"that ends in '_sa', such as {', '.join(name for name in models.list_models() if name.endswith('_sa'))}."
        )
    state = _without_wrapper(state)
    overrides = dict(_PUBLISHED)
    if model_name.startswith("pcam_"):
        overrides |= _PUBLISHED_PCAM
    coordinates = state.get("lifting_self_attention.row_indices")
    if coordinates is not None:
        overrides["window_size"] = int(coordinates.shape[-1]) if coordinates.ndim == 3 else None
    model = models.create_model(model_name, rngs=nnx.Rngs(0), **overrides)
    model.eval()
    return load(model, state)


def element_order(group: FiniteGroup) -> Int[np.ndarray, " group"]:
    """The permutation p with `ours[..., p[v], ...] = theirs[..., v, ...]`: element v is our inverse of it.

    Raises:
      ValueError: if the group is neither cyclic nor dihedral.
    """
    rotations_and_mirrors(group)
    return np.array(group.inverses)


def _network(reader: ArrayReader, prefix: str, net: Any):
    _attention(reader, f"{prefix}lifting_self_attention.", net.lifting, net.window_size)
    _norm(reader, f"{prefix}lifting_normalization.layer_norm.", net.norm)
    # The published network is one list, in which poolings and activations take numbers too.
    pooling = 2 if net.pool_dropout.rate > 0.0 else 1
    number = pooling if net.pool_lifting else 0
    for index, block in enumerate(net.blocks):
        _block(reader, f"{prefix}transformer.{number}.", block, net.window_size)
        number += 1
        if net.norms_between:
            _norm(reader, f"{prefix}transformer.{number}.layer_norm.", net.norms_between[index])
            number += 2
        if index in net.pool_after:
            number += pooling
    _linear(reader, f"{prefix}transformer.{number}.", net.head)
    _skip_group(reader, prefix)


def _block(reader: ArrayReader, prefix: str, block: Any, window_size: int | None = None):
    _norm(reader, f"{prefix}attention.0.layer_norm.", block.norm_in)
    _attention(reader, f"{prefix}attention.2.", block.attention, window_size)
    _norm(reader, f"{prefix}attention.3.layer_norm.", block.norm_out)
    if block.shortcut is not None:
        _linear(reader, f"{prefix}shortcut.0.", block.shortcut)
    _linear(reader, f"{prefix}mlp.0.", block.expand)
    _norm(reader, f"{prefix}mlp.1.layer_norm.", block.norm_hidden)
    _linear(reader, f"{prefix}mlp.3.", block.project)
    _norm(reader, f"{prefix}mlp.4.layer_norm.", block.norm_project)


def _attention(
    reader: ArrayReader,
    prefix: str,
    layer: Any,
    window_size: int | None = None,
):
    """One attention layer; `window_size` is the published window where ours is smaller and holds all keys already."""
    heads, features = layer.num_heads, layer.head_features
    # Ours divides by sqrt(features), theirs by sqrt(in_features).
    query_scale = np.sqrt(features / layer.in_features)
    for name, linear, scale in (
        ("query", layer.query, query_scale),
        ("key", layer.key, 1.0),
        ("value", layer.value, 1.0),
    ):
        weight = reader.take(f"{prefix}{name}.weight", (heads * features, layer.in_features))
        bias = reader.take(f"{prefix}{name}.bias", (heads * features,))
        if weight is not None:
            reader.set(linear.kernel, scale * weight.reshape(features, heads, -1).transpose(2, 1, 0))
        if bias is not None:
            reader.set(linear.bias, scale * bias.reshape(features, heads).T)
    weight = reader.take(f"{prefix}wout.weight", (layer.out_features, heads * features))
    if weight is not None:
        reader.set(layer.out.kernel, weight.reshape(-1, features, heads).transpose(2, 1, 0))
    reader.set(layer.out.bias, reader.take(f"{prefix}wout.bias", (layer.out_features,)))
    _position_encoding(reader, prefix, layer, window_size)
    if isinstance(layer, GroupSelfAttention):
        reader.set(
            layer.pose_encoding, reader.take(f"{prefix}group_embedding.weight", tuple(layer.pose_encoding.shape))
        )
        if reader.peek(f"{prefix}g_indices") is not None:
            order = element_order(layer.group)
            table = functional.published_pose(layer.group)[np.ix_(order, order, order)]
            reader.take_constant(f"{prefix}g_indices", table, f"the published table of {layer.group.name}")


def _position_encoding(reader: ArrayReader, prefix: str, layer: Any, window_size: int | None):
    encoding = layer.position_encoding
    if isinstance(encoding, CoordinateTable):
        for name, table in zip(("row", "col"), encoding.tables, strict=True):
            reader.set(table, reader.take(f"{prefix}{name}_embedding.weight", tuple(table.shape)))
        reader.skip(f"{prefix}relative_indices")
        return
    if not isinstance(encoding, CoordinateMLP) or layer.group.dim != 2:
        raise ValueError(
            "module: published arrays fit a planar group with the position encodings CoordinateMLP and CoordinateTable; "
            f"got {type(encoding).__name__} in {layer.group.dim} dimensions."
        )
    published_window = window_size or layer.window_size
    # Coordinates are offsets over the radius of the window: a smaller radius of ours goes into the first weights.
    shrink = 1.0 if layer.window_size is None else (layer.window_size - 1) / max(published_window - 1, 1)
    for name, network in zip(("row", "col"), encoding.coordinates, strict=True):
        first, norm, _, last = _layers(network)
        name = f"{prefix}{name}_embedding."
        weight = reader.take(f"{name}0.weight", (first.out_features, 1))
        reader.set(first.kernel, None if weight is None else shrink * weight.T)
        reader.set(first.bias, reader.take(f"{name}0.bias", (first.out_features,)))
        _norm(reader, f"{name}1.layer_norm.", norm)
        _linear(reader, f"{name}3.", last)
    _coordinates(reader, prefix, layer.group, published_window)
    _skip_group(reader, prefix)


def _layers(network: Any) -> list[Any]:
    return list(network.layers)


def _coordinates(reader: ArrayReader, prefix: str, group: FiniteGroup, window_size: int | None):
    """Checks the published tables of transformed coordinates, which reveal a wrong group or window."""
    table = reader.peek(f"{prefix}row_indices")
    if table is None:
        return
    side = table.shape[-1]
    if window_size is None:
        offsets, index = relative_positions((side, side))
        radius = max(side - 1, 1)
    else:
        offsets, index = window_offsets((window_size, window_size)), np.arange(window_size**2)
        radius = max(window_size - 1, 2) / 2
    moved = inverse_act_on_positions(group, offsets)[element_order(group)] / radius
    shape = (group.order, side, side, side, side) if window_size is None else (group.order, window_size, window_size)
    for axis, name in enumerate(("row_indices", "col_indices")):
        expected = moved[:, index, axis].reshape(shape)
        window = "global attention" if window_size is None else f"a window of {window_size}"
        reader.take_constant(f"{prefix}{name}", expected, f"the coordinates of {group.name} and {window}")


def _linear(reader: ArrayReader, prefix: str, linear: Any):
    weight = reader.take(f"{prefix}weight", (linear.out_features, linear.in_features))
    reader.set(linear.kernel, None if weight is None else weight.T)
    if linear.bias is not None:
        reader.set(linear.bias, reader.take(f"{prefix}bias", (linear.out_features,)))


def _norm(reader: ArrayReader, prefix: str, norm: Any):
    reader.set(norm.scale, reader.take(f"{prefix}weight", tuple(norm.scale.shape)))
    reader.set(norm.bias, reader.take(f"{prefix}bias", tuple(norm.bias.shape)))


def _skip_group(reader: ArrayReader, prefix: str):
    for name in ("_identity", "_elements", "_relative_positions"):
        reader.skip(f"{prefix}group.{name}")


def _without_wrapper(state: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The names without the prefix that a network trained on several devices puts before all of them."""
    wrapped = bool(state) and all(name.startswith("module.") for name in state)
    return {name.removeprefix("module.") if wrapped else name: array for name, array in state.items()}

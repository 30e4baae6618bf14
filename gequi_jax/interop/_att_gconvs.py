"""Arrays of the code published with Romero et al. (2020), into our convolutions, attentive convolutions and networks.

What is converted, for layers with input poses and |H| elements:

* Order of axes and elements: `[out, in, group, rows, columns]` becomes `[rows, columns, group, in, out]`, and the group
  axis follows `element_order`. Both sides correlate, neither flips a kernel.
* Factors. The published group convolution multiplies its sum by 2 pi / n for n rotations, and by twice that with
  mirroring; the one with attention to responses by 2 pi / |H|. Here the factor is part of the kernel. Attention to the
  responses reads values that grow with the kernel, so its first layer and its filter are divided by the factor: mean,
  maximum and relu are homogeneous, and the maps do not change. The group convolutions inside attention to the input have
  the factor of a group convolution. Lifting convolutions and plain 2-d convolutions have none.
* What cannot be converted. Published channel attention of responses rolls its matrices cyclically for every group. For
  rotations that is the action of the group; with mirroring it is not, and the published layer is not equivariant. A
  layer here keeps the true action unless it was built with `pose_action=published_roll`.
* Transposed inputs. The published rotated-MNIST pipeline exchanges rows and columns of its images, so its checkpoints were
  trained on mirrored digits: apply them to `jnp.swapaxes(images, 1, 2)`.
* The published convolutions have no bias; a bias of our layer becomes 0.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Int

from gequi_jax import nn
from gequi_jax.groups import FiniteGroup
from gequi_jax.interop._arrays import ArrayReader
from gequi_jax.models import P4CNN, AllCNN, DenseNet, ResidualBlock, ResNet, create_model, model_info
from gequi_jax.nn import AttentiveGroupConv, AttentiveLiftingConv, BatchNorm, GroupConv, LiftingConv


def load(module: nnx.Module, state: Mapping[str, np.ndarray]) -> nnx.Module:
    """Fills a convolution or a network, see `gequi_jax.interop.load_pytorch`."""
    reader = ArrayReader(state)
    _read(reader, module, "")
    reader.write()
    return module


def build(model_name: str, state: Mapping[str, np.ndarray]) -> nnx.Module:
    """Builds a network of this source, see `gequi_jax.interop.from_pytorch`."""
    if "et al. (2020)" not in model_info(model_name).paper:
        raise ValueError(
            f"model_name: {model_name!r} is not a network of the source 'att_gconvs'; its names end in _cnn, _resnet44 "
            "and _densenet."
        )
    model = load(_uninitialised(model_name), state)
    model.eval()
    return model


def element_order(group: FiniteGroup) -> Int[np.ndarray, " group"]:
    """The permutation p with `ours[..., p[v], ...] = theirs[..., v, ...]`, see `gequi_jax.interop.element_order`.

    Without mirroring, published element v is the rotation by 2 pi v / n. With it, elements n, n+1, ... are the same
    rotations followed by a reversal of the rows.
    """
    n = group.order
    mirrored = bool((np.linalg.det(group.matrices) < 0).any())
    turns = n // 2 if mirrored else n
    angles = 2 * np.pi * np.arange(turns) / turns
    published = np.stack([[[np.cos(t), -np.sin(t)], [np.sin(t), np.cos(t)]] for t in angles])
    if mirrored:
        published = np.concatenate([published, np.diag([-1.0, 1.0]) @ published])
    if group.dim != 2 or len(published) != n:
        raise _no_such_group(group)
    distance = np.abs(published[:, None] - group.matrices).max(axis=(-2, -1))
    if distance.min(axis=1).max() > 1e-6:
        raise _no_such_group(group)
    return distance.argmin(axis=1)


def published_roll(group: FiniteGroup) -> Int[np.ndarray, "output input"]:
    """The matrices of published channel attention of responses: m - v modulo |H|, in the published order of elements.

    The `pose_action` of `gequi_jax.nn.ChannelAttention` that reproduces the published layer. It is h^-1 m for
    rotations; with mirroring it is not a function of h^-1 m, and the layer is not equivariant.
    """
    order = element_order(group)
    elements = np.arange(group.order)
    table = np.empty((group.order, group.order), np.int64)
    table[np.ix_(order, order)] = order[(elements[None, :] - elements[:, None]) % group.order]
    return table


def _uninitialised(model_name: str) -> nnx.Module:
    """A network of zeros: every array will be replaced, and random initialisation takes long to compile."""
    graph, state = nnx.split(nnx.eval_shape(lambda: create_model(model_name, rngs=nnx.Rngs(0))))
    leaves, structure = jax.tree.flatten(state)
    for index, leaf in enumerate(leaves):
        is_key = jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)
        leaves[index] = jax.random.key(index) if is_key else jnp.zeros(leaf.shape, leaf.dtype)
    return nnx.merge(graph, jax.tree.unflatten(structure, leaves))


def _no_such_group(group: FiniteGroup) -> ValueError:
    return ValueError(
        "group: the source 'att_gconvs' has rotations of the plane by equal angles, with or without mirroring, such as "
        f"p4 and p4m; got {group!r}."
    )


def _read(reader: ArrayReader, module: nnx.Module, prefix: str):
    if isinstance(module, LiftingConv | GroupConv | AttentiveLiftingConv | AttentiveGroupConv):
        _read_conv(reader, module, prefix)
    elif isinstance(module, BatchNorm):
        _read_norm(reader, module, prefix)
    else:
        for name, child in _children(module):
            _read(reader, child, f"{prefix}{name}.")


def _children(module: nnx.Module) -> list[tuple[str, nnx.Module]]:
    """The layers of a network under their published names."""
    match module:
        case P4CNN():
            names = [(f"c{i}", conv) for i, conv in enumerate([*module.convs, module.readout], start=1)]
            return names + [(f"bn{i}", norm) for i, norm in enumerate(module.norms, start=1)]
        case AllCNN():
            names = [(f"c{i}", conv) for i, conv in enumerate(module.convs, start=1)]
            return names + [(f"bn{i}", norm) for i, norm in enumerate(module.norms, start=1)]
        case ResNet():
            per_stage = len(module.blocks) // 3
            stages = ("layers_nc32", "layers_nc16", "layers_nc8")
            names = [(f"{stages[i // per_stage]}.{i % per_stage}", block) for i, block in enumerate(module.blocks)]
            return [("c1", module.lifting), *names, ("bn_out", module.norm), ("c_out", module.readout)]
        case ResidualBlock():
            names = [("bn1", module.norm1), ("c1", module.conv1), ("bn2", module.norm2), ("c2", module.conv2)]
            return names if module.shortcut is None else [*names, ("fiber_map", module.shortcut)]
        case DenseNet():
            layers = {"block_layers": (module.block_norms, module.block_convs)}
            layers["trans_layers"] = (module.transition_norms, module.transition_convs)
            names = [("c1", module.lifting), ("bn_out", module.norm), ("c_out", module.readout)]
            for name, (norms, convs) in layers.items():
                names += [(f"{name}.{i}.bn", norm) for i, norm in enumerate(norms)]
                names += [(f"{name}.{i}.conv", conv) for i, conv in enumerate(convs)]
            return names
    raise ValueError(
        "module: the source 'att_gconvs' fills (attentive) lifting and group convolutions, and the networks P4CNN, "
        f"AllCNN, ResNet and DenseNet; got {type(module).__name__}."
    )


def _read_norm(reader: ArrayReader, norm: BatchNorm, prefix: str):
    shape = norm.mean.shape
    for name, variable in (
        ("weight", norm.scale),
        ("bias", norm.bias),
        ("running_mean", norm.mean),
        ("running_var", norm.var),
    ):
        reader.set(variable, reader.take(f"{prefix}{name}", shape))
    reader.skip(f"{prefix}num_batches_tracked")


class _Layout(NamedTuple):
    """How the arrays of a published convolution are laid out.

    Attributes:
      poses: the sizes of its axes of input poses, none or one.
      order: where its elements are in ours.
      factor: the factor of its kernel.
      on_responses: whether its attention reads the responses; otherwise it reads the input.
    """

    poses: tuple[int, ...]
    order: Int[np.ndarray, " group"]
    factor: float
    on_responses: bool

    def in_our_order(self, array: np.ndarray, *, axis: int) -> np.ndarray:
        """An array with an axis of input poses in the order of our elements."""
        if not self.poses:
            return array
        ours = np.empty_like(array)
        np.moveaxis(ours, axis, 0)[self.order] = np.moveaxis(array, axis, 0)
        return ours


def _read_conv(reader: ArrayReader, layer: Any, prefix: str):
    group = layer.group
    on_group = isinstance(layer, GroupConv | AttentiveGroupConv)
    # The published Z2 networks have plain convolutions, without a group axis and without factors.
    plain = group.order == 1
    attention = getattr(layer, "attention", None)
    on_responses = attention is not None and attention.attends_to == "responses"
    layout = _Layout(
        poses=(group.order,) if on_group and not plain else (),
        order=np.zeros(1, np.int64) if plain else element_order(group),
        factor=1.0 if plain or not on_group else _factor(group, on_responses),
        on_responses=on_responses,
    )
    window = layer.kernel.shape[:2]
    weight = reader.take(f"{prefix}weight", (layer.out_features, layer.in_features, *layout.poses, *window))
    if weight is not None:
        weight = layout.in_our_order(weight.reshape(layer.out_features, layer.in_features, -1, *window), axis=2)
        kernel = layout.factor * np.transpose(weight, (3, 4, 2, 1, 0))
        reader.set(layer.kernel, kernel if on_group else kernel[:, :, 0])
    if layer.bias is not None:
        reader.set(layer.bias, np.zeros(layer.bias.shape))
    if attention is not None:
        _read_attention(reader, layer, prefix, layout)


def _read_attention(reader: ArrayReader, layer: Any, prefix: str, layout: _Layout):
    operators = dict(getattr(layer.attention, "operators", (("", layer.attention),)))
    for name, operator in operators.items():
        params = layer.attention_params[name] if name else layer.attention_params
        match operator:
            case nn.ChannelAttention() | nn.InputChannelAttention():
                _read_channel_attention(reader, layer, params, f"{prefix}channel_attention.weight_", layout)
            case nn.SpatialAttention() | nn.InputSpatialAttention() | nn.InputPoseAttention():
                _read_filter(reader, layer, operator, params, f"{prefix}spatial_attention.weight", layout)
            case _:
                raise ValueError(f"module: the source 'att_gconvs' has no attention like {operator!r}.")


def _read_channel_attention(reader: ArrayReader, layer: Any, params: Any, prefix: str, layout: _Layout):
    each = (layer.out_features,) if layout.on_responses else ()
    hidden = params["w1"].shape[-1]
    sizes = {"w1": (hidden, layer.in_features), "w2": (layer.in_features, hidden)}
    for published, key in (("fc1", "w1"), ("fc2", "w2")):
        array = reader.take(f"{prefix}{published}", (*each, *sizes[key], *layout.poses))
        if array is not None:
            array = layout.in_our_order(array.reshape(*each, *sizes[key], -1), axis=-1)
            # The first layer reads the responses; the second is linear in the output of the first.
            scale = 1 / layout.factor if layout.on_responses and key == "w1" else 1.0
            reader.set(params[key], scale * np.moveaxis(np.swapaxes(array, -3, -2), -1, -3))


def _read_filter(reader: ArrayReader, layer: Any, operator: Any, params: Any, name: str, layout: _Layout):
    """The filter of spatial attention, or of attention over poses, which has no window."""
    spatial = not isinstance(operator, nn.InputPoseAttention)
    window = (operator.kernel_size,) * 2 if spatial else (1, 1)
    signals = len(operator.statistics) if spatial else layer.in_features
    filters = (layer.out_features,) if layout.on_responses else (1,)
    array = reader.take(name, (*filters, signals, *layout.poses, *window))
    if array is None:
        return
    array = layout.in_our_order(array.reshape(*filters, signals, -1, *window), axis=2)
    scale = 1 / layout.factor if layout.on_responses else layout.factor
    kernel = scale * np.transpose(array, (0, 3, 4, 2, 1))  # [filter, rows, columns, pose, signal]
    kernel = kernel if layout.on_responses else kernel[0]
    reader.set(params["kernel"], kernel if spatial else kernel[0, 0])


def _factor(group: FiniteGroup, on_responses: bool) -> float:
    mirrored = bool((np.linalg.det(group.matrices) < 0).any())
    rotations = group.order // 2 if mirrored else group.order
    if on_responses:
        return 2 * np.pi / group.order
    return (2 if mirrored else 1) * 2 * np.pi / rotations

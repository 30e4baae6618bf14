"""What attention inside a trained network does: the gates of attentive convolutions, the inputs of self-attention."""

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array

from experiments.trained.inside import lifted_maps
from gequi_jax import nn

ATTENTIVE_CONVOLUTIONS = (nn.AttentiveLiftingConv, nn.AttentiveGroupConv)
SELF_ATTENTION = (nn.LiftingSelfAttention, nn.GroupSelfAttention)
Normalize = Callable[[Any], Any]


@dataclasses.dataclass(frozen=True)
class LayerCapture:
    """What was captured of one layer.

    Attributes:
      name: of the layer, as pictures call it.
      layer: the layer.
      values: `[images, *sizes, ...]`.
    """

    name: str
    layer: Any
    values: np.ndarray


@dataclasses.dataclass(frozen=True)
class Capture:
    """What was captured of one call of a network.

    Attributes:
      logits: `[images, classes]`.
      lifted: the output of the lifting layer, `[images, *sizes, group, channels]`, if there is one.
      layers: the layers with attention.
    """

    logits: np.ndarray
    lifted: np.ndarray | None
    layers: list[LayerCapture]


def capture_gates(model: nnx.Module, images: np.ndarray, normalize: Normalize) -> Capture:
    """Runs a network and captures the gates of its attentive convolutions.

    Args:
      model: in evaluation mode.
      images: `[n, *sizes, channels]` in [0, 1].
      normalize: maps images in [0, 1] to the input of the network.

    Returns:
      For each layer the mean over channels of the factor in [0, 1] by which attention multiplies: 1 - alpha, or alpha in
      a layer without the residual form; `[n, *sizes, poses]`, with one pose for an image.
    """
    modules = {path: module for path, module in nnx.iter_modules(model) if isinstance(module, ATTENTIVE_CONVOLUTIONS)}

    def read(sown: Any) -> list[Array]:
        return [_gate(module, _follow(sown, path)["attention"].get_value()[0]) for path, module in modules.items()]

    return _run(model, images, normalize, modules, read)


def capture_inputs(model: nnx.Module, images: np.ndarray, normalize: Normalize) -> Capture:
    """Runs a network and captures the inputs of its self-attention layers.

    Args:
      model: in evaluation mode; it is not changed.
      images: `[n, *sizes, channels]` in [0, 1].
      normalize: maps images in [0, 1] to the input of the network.

    Returns:
      For each layer its input, the lifting layer first and the others in the order of the network.
    """
    paths = [path for path, module in nnx.iter_modules(model) if isinstance(module, SELF_ATTENTION)]
    paths.sort(key=lambda path: not isinstance(_follow(model, path), nn.LiftingSelfAttention))
    modules = {path: _follow(model, path) for path in paths}
    recording = nnx.clone(model)
    for path, module in modules.items():
        _replace(recording, path, _InputRecorder(module))

    def read(sown: Any) -> list[Array]:
        return [_follow(sown, path)["input"].get_value()[0] for path in paths]

    return _run(recording, images, normalize, modules, read)


def layer_name(path: Sequence[Any]) -> str:
    """The name of the layer at a path of a network."""
    match tuple(path):
        case "convs", index:
            return f"layer {index + 1}"
        case "blocks", index, "attention":
            return f"block {index + 1}"
        case _:
            return ".".join(map(str, path))


def _run(
    model: nnx.Module,
    images: np.ndarray,
    normalize: Normalize,
    modules: Mapping[Any, Any],
    read: Callable[[Any], list[Array]],
) -> Capture:
    graph, state = nnx.split(model)

    @jax.jit
    def run(state: Any, images: Array):
        network: Any = nnx.merge(graph, state)
        logits, sown = nnx.capture(network, nnx.Intermediate)(normalize(images))
        return logits, lifted_maps(network, normalize(images)), read(sown)

    logits, lifted, values = run(state, jnp.asarray(images))
    layers = [
        LayerCapture(layer_name(path), module, np.asarray(array))
        for (path, module), array in zip(modules.items(), values, strict=True)
    ]
    return Capture(np.asarray(logits), None if lifted is None else np.asarray(lifted), layers)


def _gate(module: Any, maps: Sequence[Array]) -> Array:
    alpha = math.prod(maps[1:], start=maps[0])
    gate = 1 - alpha if module.residual else alpha
    to_responses = getattr(module.attention, "attends_to", "responses") == "responses"
    # Maps of responses are [n, *sizes, out_pose, in_pose, in_channel, out_channel], of an input [..., pose, channel].
    return gate.mean(axis=(-3, -2, -1) if to_responses else -1)


class _InputRecorder(nnx.Module):
    """A layer that sows its input."""

    def __init__(self, layer: Any):
        self.layer = layer

    def __call__(self, x: jax.Array) -> jax.Array:
        self.sow(nnx.Intermediate, "input", x)
        return self.layer(x)


def _follow(tree: Any, path: Sequence[Any]) -> Any:
    for part in path:
        tree = _child(tree, part)
    return tree


def _child(tree: Any, part: Any) -> Any:
    if isinstance(tree, nnx.Module) and isinstance(part, str):
        return getattr(tree, part)
    container: Any = tree
    return container[part]


def _replace(model: nnx.Module, path: Sequence[Any], module: nnx.Module) -> None:
    *parents, last = path
    parent: Any = _follow(model, parents)
    if isinstance(last, str):
        setattr(parent, last, module)
    else:
        parent[last] = module

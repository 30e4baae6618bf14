"""What attentive convolutions let pass, for images and their transforms, and how far that is from equivariant."""

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array

from experiments.results import summary
from gequi_jax import actions, groups, nn

ATTENTIVE = (nn.AttentiveLiftingConv, nn.AttentiveGroupConv)
PASSED = "share let through"


@dataclasses.dataclass(frozen=True)
class Layer:
    """A layer with attention, looked at.

    Attributes:
      name: which it is.
      maps: `[images, rows, columns, poses]`; one pose for an image.
      unit: of the maps.
      queries: of self-attention, the position for each image from which it looks, `[images, 2]`.
    """

    name: str
    maps: np.ndarray
    unit: str = PASSED
    queries: np.ndarray | None = None


@dataclasses.dataclass(frozen=True)
class Difference:
    """How far the maps of transformed images are from the transformed maps of the image.

    Attributes:
      name: of the layer.
      largest: of all positions, poses and elements, as a part of the signal.
      relative: root of the mean square, relative to the standard deviation of the map of the image.
    """

    name: str
    largest: float
    relative: float


def look(
    model: nnx.Module, images: np.ndarray, normalize: Callable[[Any], Any]
) -> tuple[np.ndarray, np.ndarray | None, list[Layer]]:
    """Runs a network once, with its attention captured.

    Args:
      model: in evaluation mode.
      images: `[n, rows, columns, channels]` in [0, 1].
      normalize: what the network reads for them.

    Returns:
      Logits; the output of the lifting layer, `[n, rows, columns, group, channels]`, or None; and the attentive layers
      in the order of their names, those left out whose maps do not vary over positions. Their maps are the share of the
      signal that attention lets through, in [0, 1]: the mean of 1 - alpha over the channels (of alpha itself in a layer
      without the residual form).
    """
    modules = {path: module for path, module in nnx.iter_modules(model) if isinstance(module, ATTENTIVE)}
    graph, state = nnx.split(model)

    @jax.jit
    def run(state: Any, images: Array):
        network = nnx.merge(graph, state)
        logits, found = nnx.capture(network, nnx.Intermediate)(normalize(images))
        lifted = summary.lifted_maps(network, normalize(images))
        return logits, lifted, [_passed(module, _sown(found, path)) for path, module in modules.items()]

    logits, lifted, passed = run(state, jnp.asarray(images))
    layers = [Layer(name(path), np.asarray(values)) for path, values in zip(modules, passed, strict=True)]
    layers = [layer for layer in layers if layer.maps.shape[1] > 1]
    return np.asarray(logits), None if lifted is None else np.asarray(lifted), layers


def moved(element: int, maps: np.ndarray, group: groups.FiniteGroup) -> np.ndarray:
    """L_g of maps `[n, rows, columns, poses]`, of functions on the group or, with a single pose, on the plane."""
    values = jnp.asarray(maps)
    if maps.shape[-1] == 1:
        return np.asarray(actions.act_on_grid(element, values, group=group))
    return np.asarray(actions.act_on_feature_map(element, values[..., None], group=group))[..., 0]


def compare(maps: np.ndarray, elements: Sequence[int], group: groups.FiniteGroup) -> np.ndarray:
    """Maps of transformed images less the transformed maps of the image.

    Args:
      maps: `[images, rows, columns, poses]`, first those of the image transformed by each element.
      elements: which they are, the identity first.
      group: that they belong to.
    """
    expected = [moved(element, maps[:1], group)[0] for element in elements]
    return maps[: len(elements)].astype(np.float64) - np.asarray(expected, np.float64)


def differences(layers: Sequence[Layer], elements: Sequence[int], group: groups.FiniteGroup) -> list[Difference]:
    """The differences of all layers, see `compare`."""
    found = []
    for layer in layers:
        error = compare(layer.maps, elements, group)
        spread = max(float(layer.maps[0].std()), 1e-12)
        found.append(Difference(layer.name, float(np.abs(error).max()), math.sqrt((error**2).mean()) / spread))
    return found


def frame_difference(layers: Sequence[Layer], group: groups.FiniteGroup) -> float | None:
    """The largest difference between a map and that of a quarter turn before, turned; None without quarter turns.

    Args:
      layers: with the maps of turns through 360 degrees in equal steps, in number a multiple of 4.
      group: in which the quarter turn is looked for.
    """
    quarter = next((e for e, matrix in enumerate(group.matrices) if np.allclose(matrix, [[0, -1], [1, 0]])), None)
    if quarter is None:
        return None
    largest = 0.0
    for layer in layers:
        turned = np.roll(moved(quarter, layer.maps, group), len(layer.maps) // 4, axis=0)
        largest = max(largest, float(np.abs(layer.maps - turned).max()))
    return largest


def _sown(found: Any, path: Sequence[Any]) -> tuple[Array, ...]:
    for part in path:
        found = found[part]
    return found["attention"].get_value()[0]


def _passed(module: nnx.Module, maps: Sequence[Array]) -> Array:
    alpha = math.prod(maps[1:], start=maps[0])
    passed = 1 - alpha if module.residual else alpha
    responses = getattr(module.attention, "attends_to", "responses") == "responses"
    # Maps of responses are [n, rows, columns, out_pose, in_pose, in_channel, out_channel], of an input [..., pose, channel].
    return passed.mean(axis=(-3, -2, -1) if responses else -1)


def name(path: Sequence[Any]) -> str:
    """What a picture calls the layer at a path of a network."""
    match tuple(path):
        case "convs", index:
            return f"layer {index + 1}"
        case "blocks", index, "attention":
            return f"block {index + 1}"
        case _:
            return ".".join(map(str, path))

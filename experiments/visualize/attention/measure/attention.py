"""The attention of a network to the transforms of an image, and through a full rotation of it."""

import dataclasses

import numpy as np
from flax import nnx

from experiments.errors import UserError
from experiments.trained.attention import ATTENTIVE_CONVOLUTIONS, SELF_ATTENTION, capture_gates, capture_inputs
from experiments.trained.run import Run
from experiments.visualize.attention.measure import queries
from experiments.visualize.attention.measure.maps import LayerMaps, MapError, gate_maps, map_error
from experiments.visualize.attention.measure.queries import Query
from experiments.visualize.attention.measure.self_attention import probability_maps
from experiments.visualize.attention.measure.transforms import Transforms

MOST_LAYERS = 4  # side by side
SMALLEST_SIDE = 4


@dataclasses.dataclass(frozen=True)
class Attention:
    """The attention of a network.

    Attributes:
      logits: of the transforms and then of the frames.
      lifted: the output of the lifting layer for the same, if there is one.
      layers: the layers that the picture shows, with their maps of the transforms.
      frames: the same layers with their maps of the frames.
      errors: of all layers, under the transforms.
      query, frame_query: of self-attention, in the transforms and in the frames.
    """

    logits: np.ndarray
    lifted: np.ndarray | None
    layers: list[LayerMaps]
    frames: list[LayerMaps]
    errors: list[MapError]
    query: Query | None = None
    frame_query: Query | None = None


def measure_attention(run: Run, transforms: Transforms, frames: np.ndarray, query: str | None) -> Attention:
    """Measures the attention of the network of a run.

    Args:
      run: the run.
      transforms: of the image.
      frames: the image through a full rotation.
      query: for self-attention the position as typed; None for the brightest.

    Raises:
      UserError: a network without attention, or a query that it does not have.
    """
    kinds = {type(module) for _, module in nnx.iter_modules(run.model)}
    if not kinds.isdisjoint(SELF_ATTENTION) and kinds.isdisjoint(ATTENTIVE_CONVOLUTIONS):
        return _self_attention(run, transforms, frames, query)
    if query is not None:
        raise UserError(f"--query: expected a run of a self-attention network; got {run.config.model}; leave it out")
    return _attentive_convolutions(run, transforms, frames)


def _attentive_convolutions(run: Run, transforms: Transforms, frames: np.ndarray) -> Attention:
    count = len(transforms.elements)
    capture = capture_gates(run.model, np.concatenate([transforms.images, frames]), run.normalize)
    layers = gate_maps(capture)
    if not layers:
        raise UserError(
            f"--workdir {run.workdir}: expected a network with attention to positions; got {run.config.model}; choose a "
            "run of another, such as digits_alpha_f_p4_cnn or digits_r4_sa"
        )
    errors = [map_error(layer.name, layer.maps, transforms.elements, run.group) for layer in layers]
    chosen = _choose(layers)
    of_transforms = [layer.of(slice(count)) for layer in chosen]
    of_frames = [layer.of(slice(count, None)) for layer in chosen]
    return Attention(capture.logits, capture.lifted, of_transforms, of_frames, errors)


def _self_attention(run: Run, transforms: Transforms, frames: np.ndarray, query: str | None) -> Attention:
    count, side = len(transforms.elements), transforms.images.shape[1]
    position = queries.choose_position(query, transforms.images[0])
    moving = queries.transformed_query(position, side, transforms.group.matrices[list(transforms.elements)])
    rotating = queries.rotating_query(position, side, len(frames)) if len(frames) else None
    capture = capture_inputs(run.model, np.concatenate([transforms.images, frames]), run.normalize)
    of_transforms = [dataclasses.replace(layer, values=layer.values[:count]) for layer in capture.layers]
    layers, errors = probability_maps(of_transforms, moving, transforms.elements, run.group)
    chosen = _choose(layers)
    names = {layer.name for layer in chosen}
    of_frames = [
        dataclasses.replace(layer, values=layer.values[count:]) for layer in capture.layers if layer.name in names
    ]
    frame_maps = [] if rotating is None else probability_maps(of_frames, rotating, (), run.group)[0]
    return Attention(capture.logits, capture.lifted, chosen, frame_maps, errors, moving, rotating)


def _choose(layers: list[LayerMaps]) -> list[LayerMaps]:
    large = [layer for layer in layers if min(layer.maps.shape[1:-1]) >= SMALLEST_SIDE]
    return (large or layers)[:MOST_LAYERS]

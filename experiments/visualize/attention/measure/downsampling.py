"""The same weights with pooling and with strides: attention that is equivariant exactly, and approximately."""

import dataclasses

import numpy as np

from experiments.trained.attention import capture_gates
from experiments.trained.run import Run, with_downsampling
from experiments.visualize.attention.measure.maps import LayerMaps, MapError, gate_maps, map_error
from experiments.visualize.attention.measure.transforms import Transforms
from experiments.visualize.equivariance import differences

NAMES = {"pool": "pooled", "stride": "strided"}


@dataclasses.dataclass(frozen=True)
class Downsampling:
    """A network with one way of downsampling.

    Attributes:
      name: of the way.
      layer: the first layer behind it, with its maps of the transforms.
      errors: the absolute error of that layer, the largest over poses, `[transforms, rows, columns]`.
      layer_errors: the errors of all layers.
    """

    name: str
    layer: LayerMaps
    errors: np.ndarray
    layer_errors: list[MapError]


def compare_downsampling(run: Run, transforms: Transforms) -> list[Downsampling] | None:
    """The network of a run with each way of downsampling; None if it has no choice."""
    ways = []
    for way, name in NAMES.items():
        network = with_downsampling(run, way)
        if network is None:
            return None
        layers = gate_maps(capture_gates(network, transforms.images, run.normalize))
        smaller = [layer for layer in layers if layer.maps.shape[1] < layers[0].maps.shape[1]]
        if not smaller:
            return None
        errors = np.abs(differences(smaller[0].maps, transforms.elements, run.group)).max(axis=-1)
        layer_errors = [map_error(layer.name, layer.maps, transforms.elements, run.group) for layer in layers]
        ways.append(Downsampling(name, smaller[0], errors, layer_errors))
    return ways

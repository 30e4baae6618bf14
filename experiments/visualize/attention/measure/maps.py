"""Attention maps of the layers of a network, and their equivariance errors."""

import dataclasses
import math
from collections.abc import Sequence

import numpy as np

from experiments.trained.attention import Capture
from experiments.visualize.equivariance import differences, transform_maps
from gequi_jax import groups


@dataclasses.dataclass(frozen=True)
class LayerMaps:
    """The attention maps of a layer.

    Attributes:
      name: of the layer.
      maps: `[images, *sizes, poses]`; one pose for functions of the position alone.
      unit: of the maps.
      queries: of self-attention, the position of the query in each image, `[images, dim]`.
    """

    name: str
    maps: np.ndarray
    unit: str
    queries: np.ndarray | None = None

    def of(self, images: slice) -> "LayerMaps":
        """The maps of some of the images."""
        queries = None if self.queries is None else self.queries[images]
        return dataclasses.replace(self, maps=self.maps[images], queries=queries)


@dataclasses.dataclass(frozen=True)
class MapError:
    """The difference between the maps of transformed images and the transformed maps of the image.

    Attributes:
      name: of the layer.
      largest: over all positions, poses and elements.
      relative: root mean square, relative to the standard deviation of the map of the image.
    """

    name: str
    largest: float
    relative: float


def gate_maps(capture: Capture) -> list[LayerMaps]:
    """The maps of attentive convolutions, without layers whose attention does not depend on the position."""
    return [
        LayerMaps(layer.name, layer.values, "1 − α" if layer.layer.residual else "α")
        for layer in capture.layers
        if layer.values.shape[1] > 1
    ]


def map_error(name: str, maps: np.ndarray, elements: Sequence[int], group: groups.FiniteGroup) -> MapError:
    """The error of a layer.

    Args:
      name: of the layer.
      maps: `[images, *sizes, poses]`; the first images are the image under each element.
      elements: these elements, the identity first.
      group: the group.
    """
    difference = differences(maps, elements, group)
    deviation = max(float(maps[0].std()), 1e-12)
    return MapError(name, float(np.abs(difference).max()), math.sqrt((difference**2).mean()) / deviation)


def frame_error(layers: Sequence[LayerMaps], group: groups.FiniteGroup) -> float | None:
    """The largest difference between a map and the rotated map of a quarter turn earlier; None without quarter turns, or of volumes.

    Args:
      layers: with the maps of a full rotation in equal steps, in number a multiple of 4.
      group: in which the quarter turn is looked up.
    """
    if group.dim != 2:
        return None
    quarter = next((e for e, matrix in enumerate(group.matrices) if np.allclose(matrix, [[0, -1], [1, 0]])), None)
    if quarter is None:
        return None
    largest = 0.0
    for layer in layers:
        turned = transform_maps(quarter, layer.maps, group, pose_axes=int(layer.maps.shape[-1] > 1))
        expected = np.roll(turned, len(layer.maps) // 4, axis=0)
        largest = max(largest, float(np.abs(layer.maps - expected).max()))
    return largest

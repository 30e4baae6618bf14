"""Volumes and maps in volumes as planar ones: three orthogonal slices and the maximum projection."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from experiments.results.mosaic import mosaic
from experiments.visualize.attention.measure import LayerMaps, Transforms


def planar(
    transforms: Transforms, layers: Sequence[LayerMaps], queries: np.ndarray | None
) -> tuple[Transforms, list[LayerMaps], np.ndarray | None]:
    """What a figure shows of volumes; images stay as they are.

    Args:
      transforms: of the image or volume.
      layers: with their maps of the transforms.
      queries: of self-attention, the position of the query in every transform; slices of volumes go through it.

    Returns:
      The same as planar images and maps, of volumes the mean over poses, without marks of the query.
    """
    if transforms.images.ndim < 5:
        return transforms, list(layers), queries
    pictures = dataclasses.replace(transforms, images=mosaic(transforms.images, queries))
    flat = [
        dataclasses.replace(layer, maps=mosaic(layer.maps.mean(axis=-1, keepdims=True), layer.queries), queries=None)
        for layer in layers
    ]
    return pictures, flat, None

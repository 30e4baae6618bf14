"""Draws the attention of some layers to every transform of an image."""

import pathlib
from collections.abc import Sequence

import numpy as np

from experiments.visualize.attention.draw.panel import draw_map, map_scale, mark_query
from experiments.visualize.attention.draw.volumes import planar
from experiments.visualize.attention.measure import LayerMaps, Transforms
from experiments.visualize.style import BRIGHTNESS, add_bar, add_title, captioned_figure, save, show_images
from experiments.visualize.text import element_name


def draw_attention(
    transforms: Transforms,
    layers: Sequence[LayerMaps],
    queries: np.ndarray | None,
    caption: str,
    *paths: pathlib.Path,
) -> None:
    """Draws a row for every transform and a column for every layer; volumes as three slices and a projection.

    Args:
      transforms: of the image.
      layers: with their maps of the transforms.
      queries: of self-attention, the position of the query in every transform.
      caption: below the picture.
      *paths: of the files, in the formats of their suffixes.
    """
    group, elements = transforms.group, transforms.elements
    sizes = ["x".join(map(str, layer.maps.shape[1:-1])) for layer in layers]
    transforms, layers, queries = planar(transforms, layers, queries)
    figure, (above,) = captioned_figure((1.4 * len(elements) + 1.2,), caption)
    panels = above.subplots(len(elements), 1 + len(layers), squeeze=False)
    show_images(panels[:, 0], transforms.images, [element_name(group, element) for element in elements])
    add_bar(above, BRIGHTNESS, panels[:, 0], "brightness")
    for axes, position in zip(panels[:, 0], () if queries is None else queries, strict=queries is not None):
        mark_query(axes, position)
    for layer, size, column in zip(layers, sizes, panels[:, 1:].T, strict=True):
        for index, axes in enumerate(column):
            draw_map(axes, layer, index, group)
        column[0].set_title(f"{layer.name}, {size}", fontsize=9)
        add_bar(above, map_scale(layer), column, layer.unit)
    add_title(above, "Attention maps rotate with the image")
    save(figure, *paths)

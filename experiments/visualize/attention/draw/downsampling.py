"""Draws the attention after pooling and after a strided layer, with its errors."""

import pathlib
from collections.abc import Sequence

import numpy as np

from experiments.visualize.attention.measure import Downsampling, Transforms
from experiments.visualize.style import (
    BRIGHTNESS,
    add_bar,
    add_title,
    captioned_figure,
    error_scale,
    save,
    show_images,
    show_map,
    value_scale,
)
from experiments.visualize.text import element_name, number


def draw_downsampling(transforms: Transforms, ways: Sequence[Downsampling], caption: str, *paths: pathlib.Path) -> None:
    """Draws the maps and errors of the same layer with each way of downsampling, a row for every transform."""
    group, elements = transforms.group, transforms.elements
    figure, (above,) = captioned_figure((1.4 * len(elements) + 1.2,), caption)
    panels = above.subplots(len(elements), 1 + 2 * len(ways), squeeze=False)
    show_images(panels[:, 0], transforms.images, [element_name(group, element) for element in elements])
    add_bar(above, BRIGHTNESS, panels[:, 0], "brightness")
    scale = value_scale(np.concatenate([way.layer.maps.mean(axis=-1) for way in ways]))
    scale_of_errors = error_scale(np.concatenate([way.errors for way in ways]))
    for way, maps_column, errors_column in zip(ways, panels[:, 1::2].T, panels[:, 2::2].T, strict=True):
        for row in range(len(elements)):
            show_map(maps_column[row], way.layer.maps[row].mean(axis=-1), scale)
            show_map(errors_column[row], way.errors[row], scale_of_errors)
            errors_column[row].set_xlabel(f"max. {number(way.errors[row].max())}", fontsize=8)
        maps_column[0].set_title(f"{way.name}: map", fontsize=9)
        errors_column[0].set_title(f"{way.name}: error", fontsize=9)
        add_bar(above, scale, maps_column, way.layer.unit)
        add_bar(above, scale_of_errors, errors_column, "difference")
    add_title(above, "Attention after pooling and after a strided layer")
    save(figure, *paths)

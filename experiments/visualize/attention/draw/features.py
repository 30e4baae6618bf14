"""Draws one channel of the feature maps after the lifting layer."""

import pathlib

import numpy as np

from experiments.results.mosaic import mosaic
from experiments.visualize.attention.measure import Transforms
from experiments.visualize.style import (
    WIDTH,
    add_side_bar,
    add_title,
    captioned_figure,
    frame,
    save,
    show_images,
    show_map,
    value_scale,
)
from experiments.visualize.text import element_name


def draw_features(transforms: Transforms, maps: np.ndarray, caption: str, *paths: pathlib.Path) -> None:
    """Draws feature maps on the group, `[elements, *sizes, poses]`, and frames the map of one pose throughout.

    Volumes are drawn as three slices and a projection, in the poses of the elements.
    """
    group, elements = transforms.group, transforms.elements
    shown = range(group.order) if group.dim == 2 else elements
    maps, poses = mosaic(maps[..., list(shown)]), len(shown)
    figure, (above,) = captioned_figure((0.8 * WIDTH / (poses + 1) * len(elements) + 0.6,), caption)
    panels = above.subplots(len(elements), 1 + poses, squeeze=False)
    show_images(panels[:, 0], mosaic(transforms.images), [element_name(group, element) for element in elements])
    scale = value_scale(maps)
    for row, element in enumerate(elements):
        for place, pose in enumerate(shown):
            show_map(panels[row, 1 + place], maps[row, ..., place], scale)
            frame(panels[row, 1 + place], pose == element)  # (L_g f)(x, g) = f(g^-1 x, e)
    for place, pose in enumerate(shown):
        title = f"pose {element_name(group, pose)}"
        panels[0, 1 + place].set_title(title.replace(" ", "\n", group.dim - 2), fontsize=11 - group.dim)
    add_side_bar(above, scale, panels, "response")
    add_title(above, "Feature maps rotate with the image and move to another pose")
    save(figure, *paths)

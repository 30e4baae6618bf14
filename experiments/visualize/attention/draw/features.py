"""Draws one channel of the feature maps after the lifting layer."""

import pathlib

import numpy as np

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
    """Draws feature maps on the group, `[elements, rows, columns, poses]`, and frames the map of one pose throughout."""
    group, elements, poses = transforms.group, transforms.elements, maps.shape[-1]
    figure, (above,) = captioned_figure((0.8 * WIDTH / (poses + 1) * len(elements) + 0.6,), caption)
    panels = above.subplots(len(elements), 1 + poses, squeeze=False)
    show_images(panels[:, 0], transforms.images, [element_name(group, element) for element in elements])
    scale = value_scale(maps)
    for row, element in enumerate(elements):
        for pose in range(poses):
            show_map(panels[row, 1 + pose], maps[row, ..., pose], scale)
            frame(panels[row, 1 + pose], pose == element)  # (L_g f)(x, g) = f(g^-1 x, e)
    for pose in range(poses):
        panels[0, 1 + pose].set_title(f"pose {element_name(group, pose)}", fontsize=9)
    add_side_bar(above, scale, panels, "response")
    add_title(above, "Feature maps rotate with the image and move to another pose")
    save(figure, *paths)

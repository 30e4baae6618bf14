"""Draws the maps and the errors of a layer with three pose indices."""

import pathlib
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import SubFigure

from experiments.visualize.pose_index.measure import PoseIndexResult
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
from gequi_jax import actions

TITLES = {"default": "default: h⁻¹b", "printed": "printed: h⁻¹(a⁻¹b)", "published code": "published code"}
STYLES = {"default": ("C0", "o"), "printed": ("C1", "s"), "published code": ("C2", "^")}


def draw(
    image: np.ndarray, results: Mapping[str, Sequence[PoseIndexResult]], caption: str, *paths: pathlib.Path
) -> None:
    """Draws the picture and writes it to files, in the formats of their suffixes."""
    heights = [1.2 * len(of_group[0].elements) + 0.7 for of_group in results.values()]
    figure, (*above, below) = captioned_figure([*heights, 2.1], caption)
    for part, of_group in zip(above, results.values(), strict=True):
        _draw_maps(part, image, of_group)
    add_title(above[0], "(a) Output of one layer for an image and its transforms, with three pose indices")
    _draw_errors(below, results)
    save(figure, *paths)


def _draw_maps(figure: SubFigure, image: np.ndarray, results: Sequence[PoseIndexResult]) -> None:
    group, elements = results[0].group, results[0].elements
    panels = figure.subplots(len(elements), 1 + 2 * len(results), squeeze=False)
    means = np.stack([result.maps.mean(axis=-1) for result in results])
    errors = np.stack([np.abs(result.differences).max(axis=-1) for result in results])
    scale, scale_of_errors = value_scale(means), error_scale(errors)
    images = [np.asarray(actions.act_on_grid(element, image[None], group=group))[0] for element in elements]
    labels = [f"{group.name}: {element_name(group, element)}" for element in elements]
    show_images(panels[:, 0], np.asarray(images), labels)
    for index, result in enumerate(results):
        maps_column, errors_column = panels[:, 1 + 2 * index], panels[:, 2 + 2 * index]
        for row in range(len(elements)):
            show_map(maps_column[row], means[index, row], scale)
            show_map(errors_column[row], errors[index, row], scale_of_errors)
            errors_column[row].set_xlabel(f"max. {number(errors[index, row].max())}", fontsize=7.5)
        maps_column[0].set_title(TITLES[result.pose_index], fontsize=8)
        errors_column[0].set_title("error", fontsize=8)
        add_bar(figure, scale, maps_column, "response")
        add_bar(figure, scale_of_errors, errors_column, "difference")
    add_bar(figure, BRIGHTNESS, panels[:, 0], "brightness")


def _draw_errors(figure: SubFigure, results: Mapping[str, Sequence[PoseIndexResult]]) -> None:
    widths = [len(of_group[0].errors) + 1 for of_group in results.values()]
    panels = figure.subplots(1, len(results), sharey=True, squeeze=False, width_ratios=widths)[0]
    for axes, (name, of_group) in zip(panels, results.items(), strict=True):
        group = of_group[0].group
        elements = range(1, group.order)
        for result in of_group:
            color, marker = STYLES[result.pose_index]
            axes.plot(elements, result.errors[1:], marker, color=color, markersize=5, label=result.pose_index)
        axes.set_xticks(elements, [element_name(group, element).replace(", ", "\n") for element in elements])
        axes.set_xlim(0.5, group.order - 0.5)
        axes.set_yscale("log")
        axes.set_title(name, fontsize=9)
        axes.tick_params(labelsize=7.5)
        axes.grid(alpha=0.3)
    panels[0].set_ylabel("relative equivariance error", fontsize=8)
    panels[0].set_ylim(1e-8, 1)
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right center", fontsize=8, frameon=False)
    add_title(figure, "(b) Equivariance error of the layer under every element")

"""Draws steerability: the two rotations of one function, and the errors of layers.

Reference: Romero & Cordonnier (2021), Fig. 2.
"""

import pathlib

import numpy as np
from matplotlib.figure import SubFigure

from experiments.visualize.steerability.measure import SMOOTH_KERNEL, LayerError, Rotation
from experiments.visualize.style import add_side_bar, add_title, captioned_figure, save, show_map, value_scale
from experiments.visualize.text import number

STYLES = {"attention": ("C0", "o"), "convolution": ("C1", "s"), SMOOTH_KERNEL: ("C2", "^")}
ROWS = ("kernel,\ninterpolated", "encoding,\nat the offsets", "encoding,\non a fine grid")


def draw(rotations: list[Rotation], errors: list[LayerError], caption: str, *paths: pathlib.Path) -> None:
    """Draws the picture and writes it to files, in the formats of their suffixes."""
    figure, (above, below) = captioned_figure((4.7, 2.7), caption)
    _draw_rotations(above, rotations)
    _draw_errors(below, errors)
    save(figure, *paths)


def _draw_rotations(figure: SubFigure, rotations: list[Rotation]) -> None:
    panels = figure.subplots(3, len(rotations), squeeze=False)
    scale = value_scale(np.concatenate([rotation.function.ravel() for rotation in rotations]))
    edge = len(rotations[0].kernel) / 2
    options = {"interpolation": "nearest", "extent": (-edge, edge, edge, -edge)}
    for column, rotation in zip(panels.T, rotations, strict=True):
        for axes, values in zip(column, (rotation.kernel, rotation.encoding, rotation.function), strict=True):
            show_map(axes, values, scale, **options)
            axes.spines[:].set_visible(False)
        column[0].set_title(f"{rotation.angle}°", fontsize=9)
        errors = (number(rotation.kernel_error), number(rotation.kernel_return_error))
        column[0].set_xlabel("error {}\nreturn error {}".format(*errors), fontsize=7.5)
        column[1].set_xlabel(f"return error {number(rotation.encoding_return_error)}", fontsize=7.5)
        _draw_window(column[2], len(rotation.kernel))
    for axes, title in zip(panels[:, 0], ROWS, strict=True):
        axes.set_ylabel(title, fontsize=8)
    add_side_bar(figure, scale, panels, "q·ρ(x)/√d")
    add_title(figure, "(a) One function, rotated as a kernel and as an encoding")


def _draw_window(axes, side: int) -> None:
    offsets = np.arange(side) - (side - 1) / 2
    axes.plot(*map(np.ravel, np.meshgrid(offsets, offsets)), ".", color="white", markersize=2)
    directions = np.linspace(0, 2 * np.pi, 100)
    radius = (side - 1) / 2 + 0.25
    axes.plot(radius * np.cos(directions), radius * np.sin(directions), color="white", linewidth=0.8)


def _draw_errors(figure: SubFigure, errors: list[LayerError]) -> None:
    axes = figure.subplots()
    names = list(dict.fromkeys((error.layer, error.window) for error in errors))
    for index, (layer, window) in enumerate(names):
        series = [error for error in errors if (error.layer, error.window) == (layer, window)]
        shift = 0.06 * (index - (len(names) - 1) / 2)  # so that no error bar hides another
        color, marker = STYLES[layer]
        axes.errorbar(
            [error.window_size + shift for error in series],
            [error.mean for error in series],
            [error.standard_error for error in series],
            color=color,
            marker=marker,
            markerfacecolor=color if window == "round" else "white",
            linestyle="-" if window == "round" else "--",
            capsize=2,
            label=f"{layer}, {window} window",
        )
    sizes = list(dict.fromkeys(error.window_size for error in errors))
    axes.set_xticks(sizes, [f"{size}x{size}" for size in sizes])
    axes.set_ylim(bottom=0)
    axes.set_xlabel("window (pixels)", fontsize=8)
    axes.set_ylabel("relative equivariance error", fontsize=8)
    axes.tick_params(labelsize=8)
    axes.grid(alpha=0.3)
    figure.legend(loc="outside right center", fontsize=8, frameon=False)
    add_title(figure, "(b) Equivariance error of layers for C_8 under a rotation by 45°")

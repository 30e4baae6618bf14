"""The picture of steerability: a kernel that is interpolated beside an encoding that is not, and what layers lose.

Reference: Romero & Cordonnier (2021), Sec. 5.1 and Fig. 2.
"""

import argparse
import dataclasses
import json
import pathlib
from typing import Any

import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure, SubFigure

from experiments import _steerability as steerability
from experiments._steerability import LayerError, Turn
from experiments._visualize_files import save, write_caption
from experiments.errors import UserError

NAME = "steerability"
SUMMARY = "a transformed encoding against an interpolated kernel, at angles that no grid survives"
STYLES = {"attention": ("C0", "o"), "convolution": ("C1", "s"), "convolution, smooth kernel": ("C2", "^")}
ROWS = ("kernel,\ninterpolated", "encoding,\nat the offsets", "encoding,\nbetween them")


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of this picture."""
    sizes = ",".join(map(str, steerability.WINDOW_SIZES))
    parser.add_argument("--window-sizes", default=sizes, metavar="A,B,...", help=f"odd sides of windows ({sizes})")
    parser.add_argument(
        "--seeds", type=int, default=steerability.SEEDS, help=f"initialisations of each layer ({steerability.SEEDS})"
    )


def make(options: argparse.Namespace) -> tuple[list[pathlib.Path], str]:
    """Measures, draws and writes `steerability.png`, `.svg` and `.json`.

    Args:
      options: those of `add_options`, and `out`, a directory that exists.

    Returns:
      The files and the caption.

    Raises:
      UserError: sizes that are no windows, or no seeds.
    """
    window_sizes = _window_sizes(options.window_sizes)
    if not 1 <= options.seeds <= 100:
        raise UserError(f"--seeds: expected a number from 1 to 100, came {options.seeds}")
    turns, errors = steerability.turns(), steerability.layer_errors(window_sizes, options.seeds)
    text = caption(turns, errors)
    paths = [options.out / f"{NAME}.{suffix}" for suffix in ("png", "svg", "json")]
    draw(turns, errors, text, *paths[:2])
    paths[2].write_text(json.dumps(_numbers(turns, errors, text), indent=2) + "\n")
    return paths, f"{text}\n\n{table(errors)}"


def caption(turns: list[Turn], errors: list[LayerError]) -> str:
    """What the picture shows, with the numbers that were measured."""
    eighth = next(turn for turn in turns if turn.angle == 45)
    largest = max(turn.encoding_returned for turn in turns)
    side, size = len(eighth.kernel), max(error.window_size for error in errors)
    at_size = {(error.layer, error.window): error.mean for error in errors if error.window_size == size}
    seeds = len(errors[0].errors)
    return (
        f"(a) The positional part q·ρ(x)/√d of an attention score, turned counter-clockwise. Top: as a {side}x{side} "
        "kernel, by bilinear interpolation of its samples, with zeros beyond them. Middle and bottom: as an encoding, "
        "evaluated at turned offsets (dots; the circle is the round window). "
        '"off": difference between kernel and encoding, relative to the encoding; "back": error after turning back, '
        f"relative to 0°. At 45° the kernel is off by {number(eighth.kernel_error)} "
        f"({number(eighth.kernel_error_in_disc)} within the round window), and by {number(eighth.kernel_returned)} after "
        f"turning back; the encoding at most by {number(largest)}, at any angle. "
        "(b) Lifting layers for C_8 under a turn by 45°, at the centre of smooth images: error relative to how the output "
        f"varies between images, mean and standard error of {seeds} initialisation{'s' if seeds > 1 else ''}. Entries of "
        "a kernel are independent, as initialised; those of a smooth kernel are samples of an encoding, as in (a). At "
        f"{size}x{size}, with a square and a round window: attention {number(at_size['attention', 'square'])} and "
        f"{number(at_size['attention', 'round'])}, convolution {number(at_size['convolution', 'square'])} and "
        f"{number(at_size['convolution', 'round'])}, with a smooth kernel "
        f"{number(at_size['convolution, smooth kernel', 'square'])} and "
        f"{number(at_size['convolution, smooth kernel', 'round'])}."
    )


def table(errors: list[LayerError]) -> str:
    """The errors of layers as a table in Markdown: a row for each layer, a column for each size."""
    sizes = list(dict.fromkeys(error.window_size for error in errors))
    lines = ["| " + " | ".join(["", *(f"{size}x{size}" for size in sizes)]) + " |", "|" + "---|" * (len(sizes) + 1)]
    for name in dict.fromkeys((error.layer, error.window) for error in errors):
        row = [number(error.mean) for error in errors if (error.layer, error.window) == name]
        lines.append("| " + " | ".join([f"{name[0]}, {name[1]} window", *row]) + " |")
    return "\n".join(lines)


def number(value: float) -> str:
    """A number as panels, caption and table show it: two decimals, or a power of ten where that would be 0."""
    return "0" if value == 0 else f"{value:.0e}".replace("e-0", "e-") if value < 0.005 else f"{value:.2f}"


def draw(turns: list[Turn], errors: list[LayerError], text: str, *paths: pathlib.Path) -> None:
    """Draws the picture into files, in the formats that their names end on."""
    figure = Figure(figsize=(8, 8.5), layout="constrained")
    parts: Any = figure.subfigures(3, 1, height_ratios=(4.5, 2.7, 1.3))
    above, below, foot = parts
    _draw_turns(above, turns)
    _draw_errors(below, errors)
    write_caption(foot, text)
    save(figure, *paths)


def _draw_turns(figure: SubFigure, turns: list[Turn]) -> None:
    grid = figure.subplots(3, len(turns), squeeze=False)
    shown = np.concatenate([turn.function.ravel() for turn in turns])
    scale = {"cmap": "viridis", "norm": Normalize(shown.min(), shown.max())}
    side = len(turns[0].kernel)
    edge = side / 2
    offsets = np.arange(side) - (side - 1) / 2
    directions = np.linspace(0, 2 * np.pi, 100)
    circle = ((side - 1) / 2 + 0.25) * np.stack([np.cos(directions), np.sin(directions)])
    for column, turn in enumerate(turns):
        for axes, values in zip(grid[:, column], (turn.kernel, turn.encoding, turn.function), strict=True):
            axes.imshow(values, **scale, interpolation="nearest", extent=(-edge, edge, edge, -edge))
            axes.set(xticks=[], yticks=[])
            axes.spines[:].set_visible(False)
        grid[0, column].set_title(f"{turn.angle}°", fontsize=9)
        grid[0, column].set_xlabel(f"off {number(turn.kernel_error)}\nback {number(turn.kernel_returned)}", fontsize=8)
        grid[1, column].set_xlabel(f"back {number(turn.encoding_returned)}", fontsize=8)
        grid[2, column].plot(*map(np.ravel, np.meshgrid(offsets, offsets)), ".", color="white", markersize=2)
        grid[2, column].plot(*circle, color="white", linewidth=0.8)
    for axes, title in zip(grid[:, 0], ROWS, strict=True):
        axes.set_ylabel(title, fontsize=8)
    bar = figure.colorbar(ScalarMappable(**scale), ax=grid, fraction=0.025, pad=0.01)
    bar.set_label("q·ρ(x)/√d", fontsize=8)
    bar.ax.tick_params(labelsize=7)
    figure.suptitle("(a) One function, turned as a kernel and as an encoding", fontsize=10, x=0.01, ha="left")


def _draw_errors(figure: SubFigure, errors: list[LayerError]) -> None:
    axes = figure.subplots()
    names = list(dict.fromkeys((error.layer, error.window) for error in errors))
    for index, name in enumerate(names):
        series = [error for error in errors if (error.layer, error.window) == name]
        aside = 0.06 * (index - (len(names) - 1) / 2)  # so that no bar hides another
        color, marker = STYLES[name[0]]
        axes.errorbar(
            [error.window_size + aside for error in series],
            [error.mean for error in series],
            [error.standard_error for error in series],
            color=color,
            marker=marker,
            markerfacecolor=color if name[1] == "round" else "white",
            linestyle="-" if name[1] == "round" else "--",
            capsize=2,
            label=f"{name[0]}, {name[1]} window",
        )
    sizes = list(dict.fromkeys(error.window_size for error in errors))
    axes.set_xticks(sizes, [f"{size}x{size}" for size in sizes])
    axes.set_ylim(bottom=0)
    axes.set_xlabel("window (pixels)", fontsize=8)
    axes.set_ylabel("relative equivariance error", fontsize=8)
    axes.tick_params(labelsize=8)
    axes.grid(alpha=0.3)
    figure.legend(loc="outside right center", fontsize=8, frameon=False)
    figure.suptitle("(b) Error of a layer for C_8 under a turn by 45°", fontsize=10, x=0.01, ha="left")


def _numbers(turns: list[Turn], errors: list[LayerError], text: str) -> dict[str, Any]:
    plain = [
        {field: value for field, value in dataclasses.asdict(turn).items() if not isinstance(value, np.ndarray)}
        for turn in turns
    ]
    layers = [dataclasses.asdict(error) | {"mean": error.mean} for error in errors]
    return {"caption": text, "turns": plain, "layers": layers}


def _window_sizes(text: str) -> list[int]:
    try:
        sizes = sorted({int(size) for size in text.split(",")})
    except ValueError as error:
        raise UserError(f"--window-sizes {text!r}: expected integers separated by commas, such as 5,7,9") from error
    if any(size % 2 == 0 or not 3 <= size <= 15 for size in sizes):
        raise UserError(f"--window-sizes {text!r}: expected odd numbers from 3 to 15")
    return sizes

"""The command `python -m experiments.visualize steerability`: its options, caption and files."""

import argparse
import dataclasses
from typing import Any

import numpy as np

from experiments.errors import UserError
from experiments.visualize.picture import Output, Picture
from experiments.visualize.steerability import measure
from experiments.visualize.steerability.draw import draw
from experiments.visualize.steerability.measure import LayerError, Rotation
from experiments.visualize.text import number

NAME = "steerability"
LARGEST_WINDOW = 15
MOST_SEEDS = 100


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of this picture."""
    sizes = ",".join(map(str, measure.WINDOW_SIZES))
    parser.add_argument("--window-sizes", default=sizes, metavar="A,B,...", help=f"odd window sides ({sizes})")
    parser.add_argument(
        "--seeds", type=int, default=measure.NUM_SEEDS, help=f"initialisations of each layer ({measure.NUM_SEEDS})"
    )


def make(options: argparse.Namespace, output: Output) -> str:
    """Measures, draws and writes the picture; the caption is followed by the table of errors."""
    window_sizes = _window_sizes(options.window_sizes)
    if not 1 <= options.seeds <= MOST_SEEDS:
        raise UserError(f"--seeds: expected a number from 1 to {MOST_SEEDS}; got {options.seeds}")
    rotations, errors = measure.rotations(), measure.layer_errors(window_sizes, options.seeds)
    text = caption(rotations, errors)
    draw(rotations, errors, text, *output.figure(NAME))
    output.write_json(NAME, {"caption": text, **_figures(rotations, errors)})
    return f"{text}\n\n{table(errors)}"


def caption(rotations: list[Rotation], errors: list[LayerError]) -> str:
    """What the picture shows and the measured figures."""
    eighth = next(rotation for rotation in rotations if rotation.angle == 45)
    largest = max(rotation.encoding_return_error for rotation in rotations)
    side, size = len(eighth.kernel), max(error.window_size for error in errors)
    means = {(error.layer, error.window): number(error.mean) for error in errors if error.window_size == size}
    layers = "; ".join(
        f"{layer} {means[layer, 'square']} (square window) and {means[layer, 'round']} (round window)"
        for layer in dict.fromkeys(layer for layer, _ in means)
    )
    seeds = len(errors[0].errors)
    return (
        f"(a) The positional part q·ρ(x)/√d of an attention score, rotated counter-clockwise: as a {side}x{side} kernel by "
        "bilinear interpolation with zero padding (top), and as an encoding evaluated at rotated offsets (middle: at the "
        "offsets of the window; bottom: on a fine grid, with the offsets as dots and the round window as a circle). "
        '"error": difference between kernel and encoding, relative to the encoding; "return error": relative error after '
        f"the rotation and its inverse. At 45° the error of the kernel is {number(eighth.kernel_error)} "
        f"({number(eighth.kernel_error_in_disc)} within the round window) and its return error "
        f"{number(eighth.kernel_return_error)}; the return error of the encoding is at most {number(largest)} at every "
        "angle. (b) Relative equivariance error of lifting layers for C_8 under a rotation by 45°, at the centre of smooth "
        f"images: mean and standard error of {seeds} initialisation{'s' if seeds > 1 else ''}, relative to the variation of "
        "the output over images. The entries of a kernel are independent; those of a smooth kernel sample an encoding. "
        f"Errors at {size}x{size}: {layers}."
    )


def table(errors: list[LayerError]) -> str:
    """The errors of layers as a table in Markdown: a row for each layer, a column for each window size."""
    sizes = list(dict.fromkeys(error.window_size for error in errors))
    lines = ["| " + " | ".join(["", *(f"{size}x{size}" for size in sizes)]) + " |", "|" + "---|" * (len(sizes) + 1)]
    for name in dict.fromkeys((error.layer, error.window) for error in errors):
        row = [number(error.mean) for error in errors if (error.layer, error.window) == name]
        lines.append("| " + " | ".join([f"{name[0]}, {name[1]} window", *row]) + " |")
    return "\n".join(lines)


def _figures(rotations: list[Rotation], errors: list[LayerError]) -> dict[str, Any]:
    plain = [
        {field: value for field, value in dataclasses.asdict(rotation).items() if not isinstance(value, np.ndarray)}
        for rotation in rotations
    ]
    return {"rotations": plain, "layers": [dataclasses.asdict(error) | {"mean": error.mean} for error in errors]}


def _window_sizes(text: str) -> list[int]:
    try:
        sizes = sorted({int(size) for size in text.split(",")})
    except ValueError as error:
        raise UserError(
            f"--window-sizes: expected integers separated by commas, such as 5,7,9; got {text!r}"
        ) from error
    if any(size % 2 == 0 or not 3 <= size <= LARGEST_WINDOW for size in sizes):
        raise UserError(f"--window-sizes: expected odd numbers from 3 to {LARGEST_WINDOW}; got {text!r}")
    return sizes


PICTURE = Picture(
    NAME, "an interpolated kernel against an encoding at rotated offsets, for any angle", add_options, make
)

"""The picture of the pose index: what group self-attention loses with the published ones, and not with the default.

Reference: Romero & Cordonnier (2021), Eq. 16, and the code published with it.
"""

import argparse
import dataclasses
import json
import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.colors import Normalize
from matplotlib.figure import Figure, SubFigure

from experiments import _pose_index as pose_index
from experiments._pose_index import Outcome
from experiments._visualize_files import save, write_caption
from experiments._visualize_images import upright_digits
from experiments._visualize_panels import add_bar, add_title, element_name, show_image
from experiments._visualize_steerability import number
from gequi_jax import actions

NAME = "pose_index"
SUMMARY = "the pose index of group self-attention: the published ones against the default"
IMAGES = 8
TITLES = {"default": "default: h⁻¹b", "printed": "printed: h⁻¹(a⁻¹b)", "published code": "published code"}
STYLES = {"default": ("C0", "o"), "printed": ("C1", "s"), "published code": ("C2", "^")}


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of this picture."""
    parser.add_argument("--index", type=int, default=0, help="which upright digit is shown (0)")
    parser.add_argument("--seed", type=int, default=0, help="of the weights (0)")


def make(options: argparse.Namespace) -> tuple[list[pathlib.Path], str]:
    """Measures, draws and writes `pose_index.png`, `.svg` and `.json`.

    Args:
      options: those of `add_options`, and `out`, a directory that exists.

    Returns:
      The files and the caption.

    Raises:
      UserError: no such digit.
    """
    images = upright_digits(options.index, IMAGES)
    found = {name: pose_index.outcomes(name, images, seed=options.seed) for name in pose_index.GROUPS}
    text = caption(found, options.seed)
    paths = [options.out / f"{NAME}.{suffix}" for suffix in ("png", "svg", "json")]
    draw(images[0], found, text, *paths[:2])
    paths[2].write_text(json.dumps(_numbers(found, text), indent=2) + "\n")
    return paths, text


def caption(found: dict[str, list[Outcome]], seed: int) -> str:
    """What the picture shows, with the numbers that were measured."""
    channels = ", ".join(f"{outcomes[0].channel} for {name}" for name, outcomes in found.items())
    largest = {
        name: ", ".join(f"{number(outcomes[index].largest)} for {group}" for group, outcomes in found.items())
        for index, name in enumerate(pose_index.POSE_INDICES)
    }
    return (
        "One layer of group self-attention behind a lifting convolution, with the same weights (as initialised, seed "
        f"{seed}) and three pose indices: h⁻¹b, the default, is the pose b of the key seen from the output pose h; "
        "h⁻¹(a⁻¹b), with the query pose a, is printed in the paper; the code published with it has another table. "
        f"(a) The output channel that varies most ({channels}), mean over poses, of a digit and of its "
        'transforms. "off by": largest difference of any pose from the transformed map of the digit; one scale for all '
        "maps of a group, and one for all differences. (b) Relative equivariance error under every element but the "
        f"identity, of all channels and {IMAGES} digits. Largest: default {largest['default']}; printed "
        f"{largest['printed']}; published code {largest['published code']}."
    )


def draw(image: np.ndarray, found: dict[str, list[Outcome]], text: str, *paths: pathlib.Path) -> None:
    """Draws the picture into files, in the formats that their names end on."""
    heights = [1.17 * len(outcomes[0].elements) + 0.5 for outcomes in found.values()]
    heights = [heights[0] + 0.4, *heights[1:], 2.1, 1.1]
    figure = Figure(figsize=(8, sum(heights)), layout="constrained")
    parts: Any = figure.subfigures(len(heights), 1, height_ratios=heights)
    *above, below, foot = parts
    for index, (part, outcomes) in enumerate(zip(above, found.values(), strict=True)):
        _draw_maps(part, image, outcomes, heads=index == 0)
    add_title(above[0], "(a) One layer, three pose indices: what it makes of an image and of its transforms")
    _draw_errors(below, found)
    write_caption(foot, text)
    save(figure, *paths)


def _draw_maps(figure: SubFigure, image: np.ndarray, outcomes: Sequence[Outcome], *, heads: bool) -> None:
    group, elements = outcomes[0].group, outcomes[0].elements
    grid = figure.subplots(len(elements), 1 + 2 * len(outcomes), squeeze=False)
    means = np.stack([outcome.maps.mean(axis=-1) for outcome in outcomes])
    off = np.stack([np.abs(outcome.off).max(axis=-1) for outcome in outcomes])
    scale = {"cmap": "viridis", "norm": Normalize(means.min(), means.max())}
    scale_off = {"cmap": "magma", "norm": Normalize(0, off.max())}
    for row, element in enumerate(elements):
        show_image(grid[row, 0], np.asarray(actions.act_on_grid(element, image[None], group=group))[0])
        grid[row, 0].set_ylabel(f"{group.name}: {element_name(group, element)}", fontsize=8)
        for index in range(len(outcomes)):
            left, right = grid[row, 1 + 2 * index : 3 + 2 * index]
            left.imshow(means[index, row], **scale)
            right.imshow(off[index, row], **scale_off)
            right.set_xlabel(f"at most {number(off[index, row].max())}", fontsize=7.5)
            for axes in (left, right):
                axes.set(xticks=[], yticks=[])
    for index, outcome in enumerate(outcomes):
        if heads:
            grid[0, 1 + 2 * index].set_title(TITLES[outcome.pose_index], fontsize=8)
            grid[0, 2 + 2 * index].set_title("off by", fontsize=8)
        add_bar(figure, scale, grid[:, 1 + 2 * index], "response")
        add_bar(figure, scale_off, grid[:, 2 + 2 * index], "difference")
    if heads:
        grid[0, 0].set_title("image", fontsize=8)
    add_bar(figure, {"cmap": "gray", "norm": Normalize(0, 1)}, grid[:, 0], "brightness")


def _draw_errors(figure: SubFigure, found: dict[str, list[Outcome]]) -> None:
    widths = [len(outcomes[0].errors) + 1 for outcomes in found.values()]
    panels = figure.subplots(1, len(found), sharey=True, squeeze=False, width_ratios=widths)[0]
    for axes, (name, outcomes) in zip(panels, found.items(), strict=True):
        elements = range(1, outcomes[0].group.order)
        for outcome in outcomes:
            color, marker = STYLES[outcome.pose_index]
            axes.plot(elements, outcome.errors[1:], marker, color=color, markersize=5, label=outcome.pose_index)
        ticks = [element_name(outcomes[0].group, element).replace(", ", "\n") for element in elements]
        axes.set_xticks(elements, ticks)
        axes.set_xlim(0.5, outcomes[0].group.order - 0.5)
        axes.set_yscale("log")
        axes.set_title(name, fontsize=9)
        axes.tick_params(labelsize=7.5)
        axes.grid(alpha=0.3)
    panels[0].set_ylabel("relative error", fontsize=8)
    panels[0].set_ylim(1e-8, 1)
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right center", fontsize=8, frameon=False)
    add_title(figure, "(b) Equivariance error of the layer under every element")


def _numbers(found: dict[str, list[Outcome]], text: str) -> dict[str, Any]:
    plain = {
        name: [
            {
                field: value
                for field, value in dataclasses.asdict(outcome).items()
                if field in ("pose_index", "elements", "channel", "errors")
            }
            | {"off": np.abs(outcome.off).max(axis=(1, 2, 3)).tolist(), "largest": outcome.largest}
            for outcome in outcomes
        ]
        for name, outcomes in found.items()
    }
    return {"caption": text, "groups": plain}

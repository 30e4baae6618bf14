"""The picture of receptive fields: what a query of self-attention sees of the encoding, for every output and key pose.

Reference: Romero & Cordonnier (2021), Figs. B.1 and B.2.
"""

import argparse
import json
import pathlib
from typing import Any

import numpy as np
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from experiments import _visualize_queries as queries
from experiments._receptive_fields import Fields, FreshLayers, receptive_fields
from experiments._visualize_files import save, write_caption
from experiments._visualize_images import image_of_test_split, upright_digits
from experiments._visualize_panels import add_bar, add_title, element_name
from experiments._visualize_steerability import number
from experiments.errors import UserError
from experiments.runs import load_run
from gequi_jax import actions, groups, nn

NAME = "receptive_fields"
SUMMARY = "the receptive field of a query of self-attention, for every output and key pose"
GROUP = "p4"
LARGEST_GROUP = 8


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of this picture."""
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--group", help=f"of fresh layers, such as p4m or r8 ({GROUP})")
    which.add_argument("--workdir", help="of a finished run of a self-attention network, for its layers")
    parser.add_argument("--seed", type=int, default=0, help="of fresh layers (0)")
    parser.add_argument("--index", type=int, default=0, help="which test image of the run, or upright digit (0)")
    parser.add_argument("--query", metavar="ROW,COLUMN", help="its position (the brightest pixel, nearest the centre)")


def make(options: argparse.Namespace) -> tuple[list[pathlib.Path], str]:
    """Measures, draws and writes `receptive_fields.png`, `.svg` and `.json`.

    Args:
      options: those of `add_options`, and `out`, a directory that exists.

    Returns:
      The files and the caption.

    Raises:
      UserError: no such group, run, image or query.
    """
    if options.workdir is None:
        model: Any = FreshLayers(_group(options.group or GROUP), options.seed)
        image, normalize = upright_digits(options.index, 1)[0], lambda images: images
        owner, title = f"fresh layers (seed {options.seed})", f"upright digit {options.index}"
    else:
        run = load_run(options.workdir)
        _check_order(run.group, f"--workdir {options.workdir}")
        model, normalize = run.model, run.normalize
        image, title = image_of_test_split(run, options.index)
        owner = f"the first layers of {run.config.model} ({100 * run.accuracy:.1f} % on its test split)"
    position = queries.brightest(image) if options.query is None else queries.parse(options.query, image)
    query = queries.moving_with(position, image.shape[0], np.eye(2)[None])
    fields: dict[str, Fields] = {}
    for _, layer, x in queries.layer_inputs(model, image[None], normalize)[2]:
        kind = "group" if isinstance(layer, nn.GroupSelfAttention) else "lifting"
        if kind not in fields:
            fields[kind] = receptive_fields(layer, x, tuple(query.on(x.shape[1])[0]))
    if len(fields) < 2:
        raise UserError(
            f"--workdir {options.workdir}: its network has no lifting and group self-attention; choose a run of a "
            "network such as digits_r4_sa, or leave it out for fresh layers"
        )
    text = caption(fields, f"in {owner}, from row {position[0]}, column {position[1]} of {title}")
    paths = [options.out / f"{NAME}.{suffix}" for suffix in ("png", "svg", "json")]
    draw(fields, text, *paths[:2])
    numbers = {
        name: {"head": field.head, "turned_error": field.turned_error, "grid_error": field.grid_error}
        for name, field in fields.items()
    }
    group = fields["group"].group
    numbers = {"caption": text, "group": group.name, "query": list(position), "layers": numbers}
    paths[2].write_text(json.dumps(numbers, indent=2) + "\n")
    return paths, text


def caption(fields: dict[str, Fields], what: str) -> str:
    """What the picture shows, with the numbers that were measured."""
    lifting, attention = fields["lifting"], fields["group"]
    group = attention.group
    exact = len(actions.grid_preserving_elements(group))
    turned = max(field.turned_error for field in fields.values())
    on_grid = max(field.grid_error for field in fields.values())
    others = "" if exact == group.order else f"; the other {group.order - exact} do not map the offsets to each other"
    sizes = " and ".join(dict.fromkeys("x".join(map(str, field.window.shape[2:])) for field in fields.values()))
    return (
        f"What one query sees, content aside, for every output pose h of {group.name}, {what}. Left: lifting "
        "self-attention, q·ρ(h⁻¹(x_j − x_i))/√d. Right: group self-attention, position and pose of the key (j, b) "
        "together, q·(ρ(h⁻¹(x_j − x_i)), τ[h⁻¹b])/√d. q is one vector for all panels of a layer, that of the head whose "
        f"field varies most ({lifting.head} and {attention.head}, from 0). Drawn as the function that it is; dots: the "
        f"offsets of the {sizes} window, at which the layer reads it. The frame follows one field. The field of h is that "
        f"of the identity moved by h: evaluated at turned offsets, to a relative error of {number(turned)}, for all "
        f"{group.order} elements; as read at the window's own offsets, to {number(on_grid)}, for the {exact} that map the "
        f"grid to itself{others}. Nothing is interpolated."
    )


def draw(fields: dict[str, Fields], text: str, *paths: pathlib.Path) -> None:
    """Draws the picture into files, in the formats that their names end on."""
    group = fields["group"].group
    count = group.order
    height = 7.2 / (count + 1) * count + 1.1
    figure = Figure(figsize=(8, height + 1.1), layout="constrained")
    parts: Any = figure.subfigures(2, 1, height_ratios=(height, 1.1))
    above, foot = parts
    grid = above.subplots(count, 1 + count, squeeze=False)
    scales = {
        name: {"cmap": "viridis", "norm": Normalize(field.function.min(), field.function.max())}
        for name, field in fields.items()
    }
    for h in range(count):
        _show(grid[h, 0], fields["lifting"], h, 0, scales["lifting"])
        grid[h, 0].set_ylabel("h = " + _short(group, h), fontsize=8)
        for b in range(count):
            _show(grid[h, 1 + b], fields["group"], h, b, scales["group"])
            # (L_h field)(x, b) = field(h^-1 x, h^-1 b)
            grid[h, 1 + b].spines[:].set(visible=b == h, color="red", linewidth=2.5)
    grid[0, 0].set_title("lifting", fontsize=8)
    for b in range(count):
        grid[0, 1 + b].set_title("b = " + _short(group, b), fontsize=8)
    add_bar(above, scales["lifting"], grid[:, 0], "score")
    add_bar(above, scales["group"], grid[:, 1:], "score")
    add_title(above, "The field of a query turns with the output pose, and passes on to another key pose")
    write_caption(foot, text)
    save(figure, *paths)


def _show(axes: Any, fields: Fields, h: int, b: int, scale: dict[str, Any]) -> None:
    rows, columns = fields.window.shape[2:]
    edges = (-columns / 2, columns / 2, rows / 2, -rows / 2)
    axes.imshow(fields.function[h, b], **scale, extent=edges)
    offsets = actions.window_offsets((rows, columns))
    axes.plot(offsets[:, 1], offsets[:, 0], ".", color="white", markersize=6 / fields.group.order, markeredgewidth=0)
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(False)


def _short(group: groups.FiniteGroup, element: int) -> str:
    """The name of an element in two lines, the angle first."""
    return ",\n".join(reversed(element_name(group, element).split(", ")))


def _group(name: str) -> groups.FiniteGroup:
    try:
        group = groups.group_by_name(name)
    except ValueError as error:
        raise UserError(f"--group {name}: {error}") from error
    _check_order(group, f"--group {name}")
    return group


def _check_order(group: groups.FiniteGroup, option: str) -> None:
    if not 2 <= group.order <= LARGEST_GROUP:
        raise UserError(
            f"{option}: expected a group of 2 to {LARGEST_GROUP} elements, whose fields find room on a page; "
            f"{group.name} has {group.order}"
        )

"""The command `python -m experiments.visualize receptive_fields`: its options, caption and files."""

import argparse
from collections.abc import Callable
from typing import Any

import numpy as np

from experiments.errors import UserError
from experiments.runs import load_run
from experiments.trained.attention import capture_inputs
from experiments.visualize.attention.measure import queries
from experiments.visualize.images import image_of_test_split, upright_digits
from experiments.visualize.picture import Output, Picture, add_index, add_query, add_seed, add_workdir
from experiments.visualize.receptive_fields.draw import draw
from experiments.visualize.receptive_fields.layers import UntrainedLayers
from experiments.visualize.receptive_fields.measure import ReceptiveFields, receptive_fields
from experiments.visualize.text import number
from gequi_jax import actions, groups, nn

NAME = "receptive_fields"
GROUP = "p4"
LARGEST_GROUP = 8


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of this picture."""
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--group", help=f"the group of untrained layers, such as p4m or r8 ({GROUP})")
    add_workdir(which, "the work directory of a finished run of a self-attention network, for its layers")
    add_seed(parser, "of untrained layers")
    add_index(parser, "the test image of the run, or the upright digit")
    add_query(parser)


def make(options: argparse.Namespace, output: Output) -> str:
    """Measures, draws and writes the picture."""
    if options.workdir is None:
        group = _group(options.group or GROUP)
        model: Any = UntrainedLayers(group, options.seed)
        image, normalize = upright_digits(options.index, 1)[0], lambda images: images
        layers, title = f"untrained layers (seed {options.seed})", f"upright digit {options.index}"
    else:
        run = load_run(options.workdir)
        _check_order(run.group, f"--workdir {options.workdir}")
        model, group, normalize = run.model, run.group, run.normalize
        image, title = image_of_test_split(run, options.index)
        layers = f"the first layers of {run.config.model} ({100 * run.accuracy:.1f} % test accuracy)"
    row, column = position = queries.choose_position(options.query, image)
    fields = _fields(model, image, normalize, (row, column))
    if len(fields) < 2:
        raise UserError(
            f"--workdir {options.workdir}: expected a network with lifting and group self-attention, such as digits_r4_sa; "
            "choose another run, or leave it out for untrained layers"
        )
    text = caption(fields, f"in {layers}, at row {row}, column {column} of {title}")
    draw(fields, text, *output.figure(NAME))
    output.write_json(NAME, {"caption": text, "group": group.name, "query": list(position), "layers": _figures(fields)})
    return text


def caption(fields: dict[str, ReceptiveFields], query: str) -> str:
    """What the picture shows and the measured figures."""
    lifting, attention = fields["lifting"], fields["group"]
    group = attention.group
    exact = len(actions.grid_preserving_elements(group))
    rotation_error = max(field.rotation_error for field in fields.values())
    grid_error = max(field.grid_error for field in fields.values())
    others = "" if exact == group.order else f" (the other {group.order - exact} do not)"
    sizes = " and ".join(dict.fromkeys("x".join(map(str, field.window.shape[2:])) for field in fields.values()))
    return (
        f"Receptive fields of one query, {query}: its positional scores for every output pose h of {group.name}. Left: "
        "lifting self-attention, q·ρ(h⁻¹(x_j − x_i))/√d. Right: group self-attention, for the position and pose (j, b) of "
        "the key, q·(ρ(h⁻¹(x_j − x_i)), τ[h⁻¹b])/√d. All panels of a layer share one vector q, of the head whose field "
        f"varies most ({lifting.head} and {attention.head}, from 0). Colour: the scores as a continuous function; dots: the "
        f"offsets of the {sizes} window; frame: the field that h moves to. Largest relative difference between the field of "
        f"h and the field of the identity transformed by h: {number(rotation_error)} at transformed offsets, for all "
        f"{group.order} elements; {number(grid_error)} at the offsets of the window, for the {exact} elements that map the "
        f"grid to itself{others}."
    )


def _fields(
    model: Any, image: np.ndarray, normalize: Callable[[Any], Any], position: tuple[int, int]
) -> dict[str, ReceptiveFields]:
    """Of the first lifting and of the first group self-attention layer."""
    query = queries.transformed_query(position, image.shape[0], np.eye(2)[None])
    fields: dict[str, ReceptiveFields] = {}
    for layer in capture_inputs(model, image[None], normalize).layers:
        kind = "group" if isinstance(layer.layer, nn.GroupSelfAttention) else "lifting"
        if kind not in fields:
            row, column = query.on(layer.values.shape[1])[0]
            fields[kind] = receptive_fields(layer.layer, layer.values, (int(row), int(column)))
    return fields


def _figures(fields: dict[str, ReceptiveFields]) -> dict[str, Any]:
    return {
        name: {"head": field.head, "rotation_error": field.rotation_error, "grid_error": field.grid_error}
        for name, field in fields.items()
    }


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
            f"{option}: expected a group of 2 to {LARGEST_GROUP} elements, which fit on a page; got {group.order}"
        )


PICTURE = Picture(
    NAME, "the receptive field of a query of self-attention, for every output and key pose", add_options, make
)

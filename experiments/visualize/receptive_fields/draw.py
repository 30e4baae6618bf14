"""Draws receptive fields: a row for every output pose, a column for every key pose.

Reference: Romero & Cordonnier (2021), Figs. B.1 and B.2.
"""

import pathlib
from typing import Any

from experiments.visualize.receptive_fields.measure import ReceptiveFields
from experiments.visualize.style import Scale, add_bar, add_title, captioned_figure, frame, save, show_map, value_scale
from experiments.visualize.text import element_name
from gequi_jax import actions, groups


def draw(fields: dict[str, ReceptiveFields], caption: str, *paths: pathlib.Path) -> None:
    """Draws the picture and writes it to files, in the formats of their suffixes."""
    lifting, attention = fields["lifting"], fields["group"]
    group, count = attention.group, attention.group.order
    figure, (above,) = captioned_figure((7.2 / (count + 1) * count + 1.1,), caption)
    panels = above.subplots(count, 1 + count, squeeze=False)
    scales = {name: value_scale(field.function) for name, field in fields.items()}
    for h in range(count):
        _show(panels[h, 0], lifting, h, 0, scales["lifting"])
        panels[h, 0].set_ylabel("h = " + _two_lines(group, h), fontsize=8)
        for b in range(count):
            _show(panels[h, 1 + b], attention, h, b, scales["group"])
            frame(panels[h, 1 + b], b == h)  # (L_h field)(x, b) = field(h^-1 x, h^-1 b)
    panels[0, 0].set_title("lifting", fontsize=8)
    for b in range(count):
        panels[0, 1 + b].set_title("b = " + _two_lines(group, b), fontsize=8)
    add_bar(above, scales["lifting"], panels[:, 0], "score")
    add_bar(above, scales["group"], panels[:, 1:], "score")
    add_title(above, "The receptive field rotates with the output pose and moves to another key pose")
    save(figure, *paths)


def _show(axes: Any, fields: ReceptiveFields, h: int, b: int, scale: Scale) -> None:
    rows, columns = fields.window.shape[2:]
    show_map(axes, fields.function[h, b], scale, extent=(-columns / 2, columns / 2, rows / 2, -rows / 2))
    offsets = actions.window_offsets((rows, columns))
    axes.plot(offsets[:, 1], offsets[:, 0], ".", color="white", markersize=6 / fields.group.order, markeredgewidth=0)
    frame(axes, False)


def _two_lines(group: groups.FiniteGroup, element: int) -> str:
    """The name of an element in two lines, the angle first."""
    return ",\n".join(reversed(element_name(group, element).split(", ")))

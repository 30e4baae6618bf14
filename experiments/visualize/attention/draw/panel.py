"""One attention map in one panel: its colours, an arrow for each pose, and the frame of its query."""

from typing import Any

import numpy as np
from matplotlib.patches import Rectangle

from experiments.visualize.attention.measure import LayerMaps
from experiments.visualize.style import HIGHLIGHT, Scale, show_map, value_scale
from gequi_jax import groups

MOST_ARROWS = 12  # on a side
LARGEST_WHOLE_MAP = 14  # of a query with a small window; of larger maps its surroundings are shown
COLORS = ("white", "#ff9e9e")  # of arrows for rotations, and for mirrored poses


def map_scale(layer: LayerMaps) -> Scale:
    """The colours of a layer, of which the mean over poses is shown."""
    return value_scale(layer.maps.mean(axis=-1))


def draw_map(axes: Any, layer: LayerMaps, index: int, group: groups.FiniteGroup) -> None:
    """Draws one map of a layer; of a query with a small window on a large map, only its surroundings."""
    maps = layer.maps[index]
    show_map(axes, maps.mean(axis=-1), map_scale(layer))
    side = max(maps.shape[:2])
    radius = side if layer.queries is None else _reach(layer.maps, layer.queries) + 1
    is_cut = side > LARGEST_WHOLE_MAP and 2 * radius + 1 < side
    if maps.shape[-1] > 1:
        _draw_arrows(axes, maps, _arrow_limits(layer.maps), group, everywhere=is_cut)
    if layer.queries is not None:
        row, column = layer.queries[index]
        if is_cut:
            axes.set(xlim=(column - radius - 0.5, column + radius + 0.5), ylim=(row + radius + 0.5, row - radius - 0.5))
        mark_query(axes, layer.queries[index])


def mark_query(axes: Any, position: np.ndarray) -> None:
    """Frames the position of a query."""
    row, column = position
    square = Rectangle((column - 0.5, row - 0.5), 1, 1, fill=False, edgecolor=HIGHLIGHT, linewidth=1.5, zorder=3)
    axes.add_patch(square)


def symmetric_positions(side: int) -> np.ndarray:
    """At most a few evenly spaced positions on a side, mapped to themselves by rotations and mirrors of the map."""
    step = -(-side // MOST_ARROWS)
    step += step % 2 == 0  # with an odd step every other number of arrows leaves the same margin on both sides
    count = (side - 1) // step + 1
    count -= (side - 1 - (count - 1) * step) % 2
    return (side - 1 - (count - 1) * step) // 2 + step * np.arange(count)


def _reach(maps: np.ndarray, queries: np.ndarray) -> int:
    """The largest offset, along an axis and over all images, to which a query pays anything."""
    images, rows, columns = np.nonzero(maps.max(axis=-1) > 0)
    return int(np.abs(np.stack([rows, columns], axis=-1) - queries[images]).max())


def _arrow_limits(maps: np.ndarray) -> np.ndarray:
    """The values below which there is no arrow, and above which arrows are as long as possible."""
    # A query with a small window pays nothing to most positions; they must not define what is large.
    return np.quantile(maps[maps > 0], [0.05, 0.95])


def _draw_arrows(
    axes: Any, maps: np.ndarray, limits: np.ndarray, group: groups.FiniteGroup, *, everywhere: bool
) -> None:
    """An arrow for each pose in its direction, as long as its value is large within the layer."""
    rows, columns = (np.arange(side) if everywhere else symmetric_positions(side) for side in maps.shape[:2])
    step = rows[1] - rows[0] if len(rows) > 1 else 1
    low, high = limits
    strength = np.clip((maps[np.ix_(rows, columns)] - low) / max(high - low, 1e-12), 0, 1)
    strength[strength == 0] = np.nan  # otherwise a dot is drawn
    across, down = np.meshgrid(columns, rows)
    for pose, matrix in enumerate(group.matrices):
        direction = matrix @ np.array([-1.0, 0.0])  # upwards, as (row, column)
        length = 0.48 * step * strength[..., pose]
        axes.quiver(
            across,
            down,
            length * direction[1],
            length * direction[0],
            color=COLORS[int(np.linalg.det(matrix) < 0)],
            angles="xy",
            scale_units="xy",
            scale=1,
            width=min(0.009, 0.06 / len(rows)),
            headwidth=3,
            headlength=3,
            headaxislength=3,
        )

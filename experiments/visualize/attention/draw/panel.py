"""One map of a layer in one panel: its colours, an arrow for each pose, and the query that it is seen from."""

from typing import Any

import numpy as np
from matplotlib.colors import Normalize
from matplotlib.patches import Rectangle

from experiments._visualize_measure import Layer
from gequi_jax import groups

ARROWS_ON_A_SIDE = 8
COLORS = ("white", "#ff9e9e")  # of arrows for rotations, and for mirrored poses
LARGEST_PART = 14  # positions a side: arrows at all of them find room
MARK = "red"  # of a query


def draw_map(axes: Any, layer: Layer, index: int, everywhere: np.ndarray, group: groups.FiniteGroup) -> None:
    """A map of a layer with its arrows; of a query that sees a small part of a large map, that part."""
    maps = layer.maps[index]
    axes.imshow(maps.mean(axis=-1), **color_scale(everywhere))
    near = 0 if layer.queries is None else _reach(everywhere, layer.queries) + 1
    side = max(maps.shape[:2])
    if layer.queries is not None and side > ARROWS_ON_A_SIDE and 2 * near + 1 < min(side, LARGEST_PART):
        _draw_arrows(axes, maps, everywhere, group, every=True)
        row, column = layer.queries[index]
        axes.set(xlim=(column - near - 0.5, column + near + 0.5), ylim=(row + near + 0.5, row - near - 0.5))
    else:
        _draw_arrows(axes, maps, everywhere, group)
    mark(axes, layer.queries, index)


def mark(axes: Any, queries: np.ndarray | None, index: int) -> None:
    """A frame around the query, if there is one."""
    if queries is not None:
        row, column = queries[index]
        axes.add_patch(Rectangle((column - 0.5, row - 0.5), 1, 1, fill=False, edgecolor=MARK, linewidth=1.5, zorder=3))


def color_scale(maps: np.ndarray) -> dict[str, Any]:
    """The colours of maps `[..., poses]`, of which the mean over poses is shown."""
    means = maps.mean(axis=-1)
    return {"cmap": "viridis", "norm": Normalize(means.min(), means.max())}


def symmetric_places(side: int) -> np.ndarray:
    """At most a few positions on a side, evenly spaced, which turning and mirroring map to themselves."""
    step = -(-side // ARROWS_ON_A_SIDE)
    step += step % 2 == 0  # with an odd step every other number of arrows leaves the same margin on both sides
    count = (side - 1) // step + 1
    count -= (side - 1 - (count - 1) * step) % 2
    return (side - 1 - (count - 1) * step) // 2 + step * np.arange(count)


def _reach(maps: np.ndarray, queries: np.ndarray) -> int:
    """How far from its query a layer pays anything, along an axis and over all images."""
    images, rows, columns = np.nonzero(maps.max(axis=-1) > 0)
    return int(np.abs(np.stack([rows, columns], axis=-1) - queries[images]).max())


def _draw_arrows(
    axes: Any, maps: np.ndarray, everywhere: np.ndarray, group: groups.FiniteGroup, *, every: bool = False
) -> None:
    """An arrow for each pose: turned as the pose is, as long as its value is large within the layer."""
    axes.set(xticks=[], yticks=[])
    if maps.shape[-1] == 1:
        return
    rows, columns = (np.arange(side) if every else symmetric_places(side) for side in maps.shape[:2])
    step = rows[1] - rows[0] if len(rows) > 1 else 1
    # Most positions get nothing from a query with a small window: they say nothing of what is large.
    low, high = everywhere.min(), np.quantile(everywhere[everywhere > 0], 0.95)
    strength = np.clip((maps[np.ix_(rows, columns)] - low) / max(high - low, 1e-12), 0, 1)
    strength[strength == 0] = np.nan  # else a dot is drawn
    across, down = np.meshgrid(columns, rows)
    for pose, matrix in enumerate(group.matrices):
        towards = matrix @ np.array([-1.0, 0.0])  # upwards, as rows and columns
        length = 0.48 * step * strength[..., pose]
        axes.quiver(
            across,
            down,
            length * towards[1],
            length * towards[0],
            color=COLORS[int(np.linalg.det(matrix) < 0)],
            angles="xy",
            scale_units="xy",
            scale=1,
            width=0.009,
            headwidth=3,
            headlength=3,
            headaxislength=3,
        )

"""Panels of attention and feature maps: a row for every transform of an image, arrows for poses, frames of an animation."""

import dataclasses
import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from PIL import Image

from experiments._visualize_files import caption_height, save, write_caption
from experiments._visualize_maps import color_scale, draw_map, mark
from experiments._visualize_measure import Layer, moved
from experiments._visualize_steerability import number
from gequi_jax import groups


@dataclasses.dataclass(frozen=True)
class Transforms:
    """An image under a group.

    Attributes:
      group: of the network.
      elements: those that map the grid to itself, the identity first.
      images: `[elements, rows, columns, channels]` in [0, 1].
      queries: of self-attention, the position in each of them from which it looks, `[elements, 2]`.
    """

    group: groups.FiniteGroup
    elements: Sequence[int]
    images: np.ndarray
    queries: np.ndarray | None = None

    def name(self, element: int) -> str:
        """What an element does, in words."""
        return element_name(self.group, element)


def element_name(group: groups.FiniteGroup, element: int) -> str:
    """What an element of a planar group does, in words."""
    matrix = np.asarray(group.matrices[element])
    mirrored = np.linalg.det(matrix) < 0
    rotation = matrix @ np.diag([1.0, -1.0]) if mirrored else matrix
    angle = round(np.degrees(np.arctan2(rotation[1, 0], rotation[0, 0])) % 360)
    return f"mirrored, {angle}°" if mirrored else f"{angle}°"


def draw_attention(view: Transforms, layers: Sequence[Layer], text: str, *paths: pathlib.Path) -> None:
    """Attention of some layers, a column for each, to every transform of an image, a row for each."""
    rows = len(view.elements)
    below = max(0.9, caption_height(text))
    figure = Figure(figsize=(8, 1.4 * rows + 1.2 + below), layout="constrained")
    parts: Any = figure.subfigures(2, 1, height_ratios=(1.4 * rows + 1.2, below))
    above, foot = parts
    grid = above.subplots(rows, 1 + len(layers), squeeze=False)
    for row, element in enumerate(view.elements):
        show_image(grid[row, 0], view.images[row])
        grid[row, 0].set_ylabel(view.name(element), fontsize=9)
        mark(grid[row, 0], view.queries, row)
        for axes, layer in zip(grid[row, 1:], layers, strict=True):
            draw_map(axes, layer, row, layer.maps[:rows], view.group)
    add_title(above, "Attention to an image turns with it")
    grid[0, 0].set_title("image", fontsize=9)
    for column, layer in enumerate(layers, start=1):
        sides = "x".join(map(str, layer.maps.shape[1:3]))
        grid[0, column].set_title(f"{layer.name}, {sides}", fontsize=9)
        add_bar(above, color_scale(layer.maps[:rows]), grid[:, column], layer.unit)
    add_bar(above, {"cmap": "gray", "norm": Normalize(0, 1)}, grid[:, 0], "brightness")
    write_caption(foot, text)
    save(figure, *paths)


def draw_features(view: Transforms, maps: np.ndarray, text: str, *paths: pathlib.Path) -> None:
    """One channel of feature maps on the group, `[elements, rows, columns, poses]`, framed where the identity's map went."""
    rows, poses = maps.shape[0], maps.shape[-1]
    figure = Figure(figsize=(8, 6.4 / (poses + 1) * rows + 1.2), layout="constrained")
    parts: Any = figure.subfigures(2, 1, height_ratios=(6.4 / (poses + 1) * rows + 0.6, 0.6))
    above, foot = parts
    grid = above.subplots(rows, 1 + poses, squeeze=False)
    scale = {"cmap": "viridis", "norm": Normalize(maps.min(), maps.max())}
    for row, element in enumerate(view.elements):
        show_image(grid[row, 0], view.images[row])
        grid[row, 0].set_ylabel(view.name(element), fontsize=8)
        for pose in range(poses):
            axes = grid[row, 1 + pose]
            axes.imshow(maps[row, ..., pose], **scale)
            axes.set(xticks=[], yticks=[])
            followed = pose == element  # (L_g f)(x, g) = f(g^-1 x, e)
            axes.spines[:].set(visible=followed, color="red", linewidth=2.5)
    add_title(above, "Feature maps turn with the image, and pass on to another pose")
    grid[0, 0].set_title("image", fontsize=8)
    for pose in range(poses):
        grid[0, 1 + pose].set_title(f"pose {view.name(pose)}", fontsize=8)
    bar = above.colorbar(ScalarMappable(**scale), ax=grid, fraction=0.025, pad=0.01)
    bar.set_label("response", fontsize=8)
    bar.ax.tick_params(labelsize=7)
    write_caption(foot, text)
    save(figure, *paths)


def draw_regimes(view: Transforms, regimes: dict[str, Layer], text: str, *paths: pathlib.Path) -> None:
    """A layer of networks that differ in one thing: its maps of transformed images, and what they are off by."""
    rows = len(view.elements)
    figure = Figure(figsize=(8, 1.4 * rows + 2.1), layout="constrained")
    parts: Any = figure.subfigures(2, 1, height_ratios=(1.4 * rows + 1.2, 0.9))
    above, foot = parts
    grid = above.subplots(rows, 1 + 2 * len(regimes), squeeze=False)
    means = {name: layer.maps[:rows].mean(axis=-1) for name, layer in regimes.items()}
    off = {
        name: [
            np.abs(layer.maps[row] - _expected(layer, element, view)).max(axis=-1)
            for row, element in enumerate(view.elements)
        ]
        for name, layer in regimes.items()
    }
    stacked = np.concatenate([*means.values()])
    scale = {"cmap": "viridis", "norm": Normalize(stacked.min(), stacked.max())}
    worst = max(np.max(values) for values in off.values())
    scale_off = {"cmap": "magma", "norm": Normalize(0, worst)}
    for row, element in enumerate(view.elements):
        show_image(grid[row, 0], view.images[row])
        grid[row, 0].set_ylabel(view.name(element), fontsize=9)
        for column, name in enumerate(regimes):
            grid[row, 1 + 2 * column].imshow(means[name][row], **scale)
            grid[row, 2 + 2 * column].imshow(off[name][row], **scale_off)
            grid[row, 2 + 2 * column].set_xlabel(f"at most {number(off[name][row].max())}", fontsize=8)
    add_title(above, "Attention behind pooling and behind a stride, to an image and its transforms")
    grid[0, 0].set_title("image", fontsize=9)
    for column, name in enumerate(regimes):
        grid[0, 1 + 2 * column].set_title(f"{name}: map", fontsize=9)
        grid[0, 2 + 2 * column].set_title(f"{name}: off by", fontsize=9)
        add_bar(above, scale, grid[:, 1 + 2 * column], next(iter(regimes.values())).unit)
        add_bar(above, scale_off, grid[:, 2 + 2 * column], "difference")
    for axes in grid[:, 1:].flat:
        axes.set(xticks=[], yticks=[])
    add_bar(above, {"cmap": "gray", "norm": Normalize(0, 1)}, grid[:, 0], "brightness")
    write_caption(foot, text)
    save(figure, *paths)


def animate(
    images: np.ndarray,
    layers: Sequence[Layer],
    group: groups.FiniteGroup,
    path: pathlib.Path,
    *,
    queries: np.ndarray | None = None,
    seconds: float = 4.0,
) -> None:
    """Images that turn through 360 degrees, and attention to each, as a GIF that repeats."""
    figure = Figure(figsize=(2 * (1 + len(layers)), 2.4), dpi=80, layout="constrained")
    canvas = FigureCanvasAgg(figure)
    (grid,) = figure.subplots(1, 1 + len(layers), squeeze=False)
    frames = []
    for index, image in enumerate(images):
        for axes in grid:
            axes.clear()
        show_image(grid[0], image)
        mark(grid[0], queries, index)
        grid[0].set_title(f"image, turned by {round(360 * index / len(images))}°", fontsize=9)
        for axes, layer in zip(grid[1:], layers, strict=True):
            draw_map(axes, layer, index, layer.maps, group)
            axes.set_title(f"attention, {layer.name}", fontsize=9)
        canvas.draw()
        # Once: where things stand must not depend on the number in the title.
        figure.set_layout_engine("none")
        frames.append(Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB"))
    # One palette for all, so that colours do not flicker.
    some = np.concatenate([np.asarray(frame) for frame in frames[:: max(1, len(frames) // 6)]])
    palette = Image.fromarray(some).quantize(256)
    frames = [frame.quantize(palette=palette, dither=Image.Dither.NONE) for frame in frames]
    duration = round(1000 * seconds / len(frames))
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=duration, loop=0, optimize=True)


def _expected(layer: Layer, element: int, view: Transforms) -> np.ndarray:
    return moved(element, layer.maps[:1], view.group)[0]


def add_title(figure: Any, text: str) -> None:
    """A title at the left of a figure."""
    figure.suptitle(text, fontsize=10, x=0.01, ha="left")


def show_image(axes: Any, image: np.ndarray) -> None:
    """An image in [0, 1], grey or coloured."""
    axes.imshow(image if image.shape[-1] == 3 else image[..., 0], cmap="gray", vmin=0, vmax=1)
    axes.set(xticks=[], yticks=[])


def add_bar(figure: Any, scale: dict[str, Any], axes: Any, label: str) -> None:
    """A colour bar below a column of panels."""
    bar = figure.colorbar(ScalarMappable(**scale), ax=axes, location="bottom", fraction=0.03, pad=0.01, aspect=14)
    bar.set_label(label, fontsize=8)
    bar.locator = MaxNLocator(2, steps=[1, 2, 5, 10])
    bar.ax.tick_params(labelsize=7)
    bar.update_ticks()

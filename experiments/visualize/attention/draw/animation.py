"""Draws an image through a full rotation, with its attention maps, as an animated GIF."""

import pathlib
from collections.abc import Sequence

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from experiments.visualize.attention.draw.panel import draw_map, mark_query
from experiments.visualize.attention.measure import LayerMaps
from experiments.visualize.style import show_image
from gequi_jax import groups

SECONDS = 4.0
DPI = 80


def animate(
    images: np.ndarray,
    layers: Sequence[LayerMaps],
    group: groups.FiniteGroup,
    path: pathlib.Path,
    *,
    queries: np.ndarray | None = None,
) -> None:
    """Draws the frames and writes a GIF that repeats.

    Args:
      images: through a full rotation in equal steps, `[frames, rows, columns, channels]`.
      layers: with their maps of the same frames.
      group: of the layers.
      path: of the GIF.
      queries: of self-attention, the position of the query in every frame.
    """
    figure = Figure(figsize=(2 * (1 + len(layers)), 2.4), dpi=DPI, layout="constrained")
    canvas = FigureCanvasAgg(figure)
    (panels,) = figure.subplots(1, 1 + len(layers), squeeze=False)
    frames = []
    for index, image in enumerate(images):
        for axes in panels:
            axes.clear()
        show_image(panels[0], image)
        if queries is not None:
            mark_query(panels[0], queries[index])
        panels[0].set_title(f"image, {round(360 * index / len(images))}°", fontsize=9)
        for axes, layer in zip(panels[1:], layers, strict=True):
            draw_map(axes, layer, index, group)
            axes.set_title(f"attention, {layer.name}", fontsize=9)
        canvas.draw()
        figure.set_layout_engine("none")  # only once: the layout must not depend on the number in the title
        frames.append(Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB"))
    _write(frames, path)


def _write(frames: Sequence[Image.Image], path: pathlib.Path) -> None:
    # One palette for all frames, so that colours do not flicker.
    sample = np.concatenate([np.asarray(image) for image in frames[:: max(1, len(frames) // 6)]])
    palette = Image.fromarray(sample).quantize(256)
    first, *others = [image.quantize(palette=palette, dither=Image.Dither.NONE) for image in frames]
    duration = round(1000 * SECONDS / len(frames))
    first.save(path, save_all=True, append_images=others, duration=duration, loop=0, optimize=True)

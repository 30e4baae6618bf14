"""The common look of the pictures: page width, captions, colour scales, and files that depend on the numbers alone."""

import pathlib
import textwrap
from collections.abc import Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure, SubFigure
from matplotlib.ticker import MaxNLocator
from PIL import Image

DPI = 150
WIDTH = 8  # inches
BRIGHTNESS = {"cmap": "gray", "norm": Normalize(0, 1)}
HIGHLIGHT = "red"  # of frames
Scale = dict[str, Any]


def captioned_figure(heights: Sequence[float], caption: str) -> tuple[Figure, list[SubFigure]]:
    """A figure of the width of a page with its caption below.

    Args:
      heights: of its parts, in inches.
      caption: the text.

    Returns:
      The figure and its parts, without the one of the caption.
    """
    wrapped = textwrap.fill(caption, 140)
    foot = 0.125 * (wrapped.count("\n") + 1) + 0.15
    figure = Figure(figsize=(WIDTH, sum(heights) + foot), layout="constrained")
    parts: Any = figure.subfigures(len(heights) + 1, 1, height_ratios=[*heights, foot])
    parts[-1].text(0.02, 0.98, wrapped, va="top", fontsize=7.5)
    return figure, list(parts[:-1])


def save(figure: Figure, *paths: pathlib.Path) -> None:
    """Writes a figure to files, in the formats of their suffixes."""
    # Nothing may depend on the day or on a random salt; letters stay letters.
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "gequi_jax"}):
        for path in paths:
            figure.savefig(path, dpi=DPI, metadata={"Date": None} if path.suffix == ".svg" else None)
            if path.suffix == ".png":
                with Image.open(path) as picture:
                    opaque = picture.convert("RGB")
                opaque.save(path, optimize=True, dpi=(DPI, DPI))


def value_scale(values: np.ndarray) -> Scale:
    """The colours of maps, from the smallest to the largest of the values."""
    return {"cmap": "viridis", "norm": Normalize(values.min(), values.max())}


def error_scale(errors: np.ndarray) -> Scale:
    """The colours of absolute errors, from 0."""
    return {"cmap": "magma", "norm": Normalize(0, errors.max())}


def add_title(figure: Any, text: str) -> None:
    """A title at the left of a figure."""
    figure.suptitle(text, fontsize=10, x=0.01, ha="left")


def show_map(axes: Any, values: np.ndarray, scale: Scale, **options: Any) -> None:
    """A map `[rows, columns]` without ticks."""
    axes.imshow(values, **scale, **options)
    axes.set(xticks=[], yticks=[])


def show_image(axes: Any, image: np.ndarray) -> None:
    """An image `[rows, columns, channels]` in [0, 1], grey or coloured."""
    show_map(axes, image if image.shape[-1] == 3 else image[..., 0], BRIGHTNESS)


def show_images(axes: Any, images: np.ndarray, labels: Sequence[str]) -> None:
    """A column of images with their labels."""
    for panel, image, label in zip(axes, images, labels, strict=True):
        show_image(panel, image)
        panel.set_ylabel(label, fontsize=9)
    axes[0].set_title("image", fontsize=9)


def frame(axes: Any, visible: bool) -> None:
    """Frames a panel, or removes its frame."""
    axes.spines[:].set(visible=visible, color=HIGHLIGHT, linewidth=2.5)


def add_bar(figure: Any, scale: Scale, axes: Any, label: str) -> None:
    """A colour bar below a column of panels."""
    bar = figure.colorbar(ScalarMappable(**scale), ax=axes, location="bottom", fraction=0.03, pad=0.01, aspect=14)
    bar.set_label(label, fontsize=8)
    bar.locator = MaxNLocator(2, steps=[1, 2, 5, 10])
    bar.ax.tick_params(labelsize=7)
    bar.update_ticks()


def add_side_bar(figure: Any, scale: Scale, axes: Any, label: str) -> None:
    """A colour bar at the right of all panels."""
    bar = figure.colorbar(ScalarMappable(**scale), ax=axes, fraction=0.025, pad=0.01)
    bar.set_label(label, fontsize=8)
    bar.ax.tick_params(labelsize=7)

"""Figures to files: the same numbers make the same file, and letters stay letters."""

import pathlib
import textwrap

import matplotlib
from matplotlib.figure import Figure, SubFigure
from PIL import Image

DPI = 150


def save(figure: Figure, *paths: pathlib.Path) -> None:
    """Draws a figure into files, in the formats that their names end on."""
    # Nothing may depend on the day or on a random salt.
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "gequi_jax"}):
        for path in paths:
            figure.savefig(path, dpi=DPI, metadata={"Date": None} if path.suffix == ".svg" else None)
            if path.suffix == ".png":
                with Image.open(path) as picture:
                    opaque = picture.convert("RGB")
                opaque.save(path, optimize=True, dpi=(DPI, DPI))


def write_caption(figure: SubFigure, text: str) -> None:
    """Puts a caption at the foot of a figure 8 inches wide."""
    figure.text(0.02, 0.98, _wrapped(text), va="top", fontsize=7.5)


def caption_height(text: str) -> float:
    """The inches that a caption needs."""
    return 0.125 * (_wrapped(text).count("\n") + 1) + 0.1


def _wrapped(text: str) -> str:
    return textwrap.fill(text, 140)

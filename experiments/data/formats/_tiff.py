"""TIFF by tifffile: any depth, byte order and layout; several pages are a volume."""

import logging
import pathlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from experiments.data.formats._header import Header, import_extra, refuse, widened, without_opaque_alpha

# tifffile's letters: Z slices, I and Q pages of which the file does not say what they are.
_DEPTH, _CHANNELS = "ZIQ", "SC"
_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB, _PALETTE, _YCBCR = 0, 1, 2, 3, 6
_ASSOCIATED_ALPHA, _ALPHA = 1, 2
_UPRIGHT, _TRANSPOSED = 1, (5, 6, 7, 8)
# Orientation tag -> whether rows and columns are exchanged first, then which of them are reversed.
_ORIENTATIONS = {
    1: (False, False, False),
    2: (False, False, True),
    3: (False, True, True),
    4: (False, True, False),
    5: (True, False, False),
    6: (True, False, True),
    7: (True, True, True),
    8: (True, True, False),
}


def read_header(path: pathlib.Path) -> Header:
    """The header, with the checks that need no pixels."""
    with _opened(path) as (series, page):
        sizes = dict(zip(series.axes, series.shape, strict=True))
        channels = 3 if page.photometric == _PALETTE else next((sizes[a] for a in sizes if a in _CHANNELS), 1)
        depth = [sizes[axis] for axis in sizes if axis in _DEPTH]
        rows, columns = sizes["Y"], sizes["X"]
        if _orientation(page) in _TRANSPOSED:
            rows, columns = columns, rows
        dtype = _colours(page).dtype if page.photometric == _PALETTE else _type(page, series.dtype)
        return Header((*depth, rows, columns, channels - _has_alpha(page)), dtype)


def read_pixels(path: pathlib.Path) -> np.ndarray:
    """The pixels, upright, `[rows, columns, channels]` or `[pages, rows, columns, channels]`."""
    with _opened(path) as (series, page):
        pixels = series.asarray(maxworkers=1)
        place = next((index for index, axis in enumerate(series.axes) if axis in _CHANNELS), None)
        pixels = pixels[..., None] if place is None else np.moveaxis(pixels, place, -1)
        if page.photometric == _PALETTE:
            pixels = _colours(page)[pixels[..., 0]]
        elif page.bitspersample < 8:
            pixels = widened(pixels, page.bitspersample)
        if page.photometric == _WHITE_IS_ZERO:
            pixels = np.iinfo(pixels.dtype).max - pixels
        if _has_alpha(page):
            pixels = without_opaque_alpha(pixels, path)
        exchanged, *reversed_axes = _ORIENTATIONS[_orientation(page)]
        pixels = np.swapaxes(pixels, -3, -2) if exchanged else pixels
        return np.flip(pixels, tuple(axis for axis, turned in zip((-3, -2), reversed_axes, strict=True) if turned))


@contextmanager
def _opened(path: pathlib.Path) -> Iterator[tuple[Any, Any]]:
    tifffile = import_extra("tifffile", path)
    with _complaints(path), tifffile.TiffFile(path) as file:
        if len(file.series) != 1:
            shapes = ", ".join("x".join(map(str, series.shape)) for series in file.series[:4])
            raise refuse(path, f"holds {len(file.series)} images ({shapes}); save each as a file")
        series = file.series[0]
        _check(path, series)
        yield series, series.keyframe


def _check(path: pathlib.Path, series: Any) -> None:
    page, axes = series.keyframe, series.axes
    depth, channels = ([axis for axis in axes if axis in kind] for kind in (_DEPTH, _CHANNELS))
    if set(axes) - set("YX" + _DEPTH + _CHANNELS) or not set("YX") <= set(axes) or max(len(depth), len(channels)) > 1:
        raise refuse(path, f"its axes are {axes}; expected rows and columns (YX), with slices (Z) or channels (C or S)")
    if page.photometric not in (_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB, _PALETTE, _YCBCR):
        raise refuse(path, f"its colours are {page.photometric.name}, which RGB would change; convert it to RGB first")
    if page.photometric == _WHITE_IS_ZERO and series.dtype.kind not in "ub":
        raise refuse(path, f"white is zero in values of type {series.dtype}; save it with black as zero")
    if page.photometric != _PALETTE and page.bitspersample in (3, 5, 6, 7):
        raise refuse(path, f"has {page.bitspersample} bits a sample; expected 1, 2, 4, 8 or more")
    size = path.stat().st_size
    for number, part in enumerate(series.pages):
        segments = list(zip(part.dataoffsets, part.databytecounts, strict=True)) if part is not None else []
        if not segments or any(count == 0 or offset + count > size for offset, count in segments):
            raise refuse(path, f"pixels of page {number} are missing; is it truncated?")


@contextmanager
def _complaints(path: pathlib.Path) -> Iterator[None]:
    """What tifffile logs, a page that it skips for instance, is an error here."""
    heard: list[str] = []
    logger, handler = logging.getLogger("tifffile"), logging.Handler(logging.WARNING)
    thread = threading.get_ident()
    handler.emit = lambda record: heard.append(record.getMessage()) if record.thread == thread else None  # type: ignore[method-assign]
    logger.addHandler(handler)
    propagates, logger.propagate = logger.propagate, False
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.propagate = propagates
    if heard:
        raise refuse(path, f"cannot be read exactly ({' '.join(heard[0].split())[:200]}); is it damaged?")


def _type(page: Any, dtype: np.dtype) -> np.dtype:
    return np.dtype(np.uint8) if page.bitspersample < 8 else dtype


def _has_alpha(page: Any) -> bool:
    extra = tuple(page.extrasamples or ())
    return bool(extra) and extra[-1] in (_ASSOCIATED_ALPHA, _ALPHA)


def _orientation(page: Any) -> int:
    tag = page.tags.get(274)
    return int(tag.value) if tag is not None else _UPRIGHT


def _colours(page: Any) -> np.ndarray:
    """The palette `[values, 3]`: bytes where its 16 bits repeat or leave out the lower eight."""
    palette = np.asarray(page.colormap).T
    for scale in (257, 256):
        if (palette % scale == 0).all():
            return (palette // scale).astype(np.uint8)
    return palette

"""Resizes images by stretching, padding or cropping, with antialiasing; commutes with rotations by 90 degrees.

Each axis is resampled by one sparse matrix, a triangle filter as wide as the reduction. The matrix is symmetric under
reversal and the result is rounded by a rule that round-off cannot tip, so that resizing commutes with flips and quarter
turns exactly.
"""

import functools
from collections.abc import Sequence

import numpy as np
import scipy.sparse

from experiments.errors import UserError

RESIZE_MODES = ("resize", "pad", "crop")
_DECIMALS = 6  # far above float64's round-off, far below half a unit


def resize(pixels: np.ndarray, sizes: Sequence[int], *, mode: str) -> np.ndarray:
    """Gives an image other sizes.

    Args:
      pixels: `[*spatial, channels]`.
      sizes: of the spatial axes of the result.
      mode: "resize" stretches each axis by itself; "pad" keeps the aspect, fits the whole image in and pads evenly;
        "crop" keeps the aspect, covers the sizes and crops the centre.

    Returns:
      `[*sizes, channels]` of the same type; integers are rounded. Padding is 0 for unsigned integers and the image's
      smallest value otherwise.

    Raises:
      UserError: more or fewer sizes than spatial axes.
    """
    sizes, spatial = tuple(sizes), pixels.shape[:-1]
    if len(spatial) != len(sizes):
        raise UserError(f"image_size: expected a size for each of the axes {spatial} of an image; got {sizes}")
    if spatial == sizes:
        return pixels
    scaled = sizes if mode == "resize" else _sizes_with_aspect(spatial, sizes, cover=mode == "crop")
    result = _resampled(pixels, scaled)
    if mode == "pad":
        background = 0 if pixels.dtype.kind == "u" else pixels.min()
        margins = [((size - part) // 2,) * 2 for size, part in zip(sizes, scaled, strict=True)]
        return np.pad(result, [*margins, (0, 0)], constant_values=background)
    starts = [(part - size) // 2 for size, part in zip(sizes, scaled, strict=True)]
    return result[tuple(slice(start, start + size) for start, size in zip(starts, sizes, strict=True))]


def _sizes_with_aspect(spatial: tuple[int, ...], sizes: tuple[int, ...], *, cover: bool) -> tuple[int, ...]:
    """The sizes of the scaled image: of the parity of the target, so that margins on both sides are equal."""
    scales = [size / part for size, part in zip(sizes, spatial, strict=True)]
    scale = max(scales) if cover else min(scales)
    nearest = [size + 2 * round((part * scale - size) / 2) for size, part in zip(sizes, spatial, strict=True)]
    return tuple(max(part, 2 - part % 2) for part in nearest)


def _resampled(pixels: np.ndarray, sizes: tuple[int, ...]) -> np.ndarray:
    values = pixels.astype(np.float64)
    for axis, size in enumerate(sizes):
        if values.shape[axis] != size:
            moved = np.moveaxis(values, axis, 0)
            flat = _matrix(values.shape[axis], size) @ moved.reshape(moved.shape[0], -1)
            values = np.moveaxis(flat.reshape(size, *moved.shape[1:]), 0, axis)
    if pixels.dtype.kind in "ui":
        # Twice: a tie that round-off moves by 1e-12 becomes a tie again.
        values = np.rint(np.round(values, _DECIMALS))
    return values.astype(pixels.dtype)


@functools.lru_cache(maxsize=512)
def _matrix(size_in: int, size_out: int) -> scipy.sparse.csr_array:
    """The weights `[out, in]` of the triangle filter, each row summing to one."""
    scale = size_in / size_out
    width = max(scale, 1.0)
    centres = (np.arange(size_out) + 0.5) * scale - 0.5
    taps = np.arange(-np.ceil(width), np.ceil(width) + 1)
    columns = np.floor(centres)[:, None] + taps
    weights = np.maximum(0, 1 - np.abs(columns - centres[:, None]) / width)
    inside = (columns >= 0) & (columns < size_in)
    weights = np.where(inside, weights, 0)
    weights /= weights.sum(axis=1, keepdims=True)
    rows = np.repeat(np.arange(size_out), columns.shape[1])
    columns = columns.clip(0, size_in - 1).astype(int).ravel()
    matrix = scipy.sparse.csr_array((weights.ravel(), (rows, columns)), shape=(size_out, size_in))
    return ((matrix + matrix[::-1, ::-1]) / 2).tocsr()

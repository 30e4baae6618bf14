"""The default size to which the images of a data set are resized."""

from collections.abc import Callable, Collection

import numpy as np

from experiments.errors import UserError

# Longest side that images keep and that larger ones are given, by dimension.
DEFAULT_SIDE = {2: 64, 3: 32}
_SMALLEST, _LARGEST = 4, 256

Fits = Callable[[tuple[int, ...]], str | None]


def choose_sizes(shapes: Collection[tuple[int, ...]], fits: Fits, *, name: str) -> tuple[tuple[int, ...], str | None]:
    """The images' own size where they have one, it is small and the network takes it; otherwise a square or a cube.

    Args:
      shapes: spatial shapes of the training images.
      fits: why a network cannot read images of a spatial shape, or None where it can.
      name: what messages call the data set.

    Returns:
      The sizes, and what to say where they are not the images' own.

    Raises:
      UserError: no size suits the network.
    """
    different = set(shapes)
    dim = len(next(iter(different)))
    limit = DEFAULT_SIDE[dim]
    if len(different) == 1:
        own = next(iter(different))
        if max(own) <= limit and fits(own) is None:
            return own, None
    side = int(min(limit, np.median([min(shape) for shape in shapes])))
    candidates = [*range(side, _SMALLEST - 1, -1), *range(side + 1, _LARGEST + 1)]
    refusal = None
    for candidate in candidates:
        reason = fits((candidate,) * dim)
        if reason is None:
            sizes = (candidate,) * dim
            return sizes, f"{_describe(different)} are read as {_times(sizes)} (another: --config.image_size)"
        refusal = refusal or reason
    raise UserError(f"{name}: {refusal}")


def _describe(shapes: set[tuple[int, ...]]) -> str:
    if len(shapes) == 1:
        return f"images of {_times(next(iter(shapes)))}"
    smallest, largest = (tuple(f(axis) for axis in zip(*shapes, strict=True)) for f in (min, max))
    return f"images of {_times(smallest)} to {_times(largest)}"


def _times(sizes: tuple[int, ...]) -> str:
    return "x".join(map(str, sizes))

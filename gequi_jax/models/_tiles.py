"""Predictions for images that are larger than memory: overlapping tiles of which only the exact middle is kept."""

import itertools
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from flax import nnx

from gequi_jax._checks import check_non_negative_integer, check_positive_integer
from gequi_jax._typing import Array, Float
from gequi_jax.models._unet import UNet, halving_pads

# First position of a tile, and first and last of the part that is kept.
_Part = tuple[int, int, int]


def predict_in_tiles(
    model: UNet,
    x: Float[Array | np.ndarray, "batch *spatial channels"],
    *,
    tile_size: int,
    margin: int | None = None,
    apply: Callable[[np.ndarray], Any] | None = None,
) -> Float[np.ndarray, "batch *rest"]:
    """The output of a U-Net for large images, from tiles that overlap by twice the reach of its layers.

    Equal to `model(x)` up to round-off, at every position: tiles start at positions that pooling treats alike, and what is
    kept of a tile lies a margin away from every side that is no side of the image. Attention to the whole map, and that of
    attentive convolutions, see the tile in place of the image; their outputs differ.

    Args:
      model: the network; it runs in `eval()` mode, as one compiled program, and is not changed.
      x: images on the host; one tile of each is on the device at a time.
      tile_size: side of a tile; a multiple of 2^depth, larger than twice the margin by at least 2^depth.
      margin: positions of a tile that are not kept at such sides; `model.receptive_radius` by default. A window of side w
        of self-attention on the smallest map reads `2^depth (w - 1) / 2` more.
      apply: what computes the output of a batch of tiles, such as a normalisation of pixels before the network, in place of
        `model`, which then only says its depth and its reach.

    Returns:
      A NumPy array of the shape of `model(x)`.

    Raises:
      ValueError: if the tile is too small, or no multiple of 2^depth.

    Example:
      >>> from gequi_jax.groups import cyclic_group
      >>> sizes = {"input_shape": (32, 32, 1), "num_classes": 2, "features": 1, "depth": 1}
      >>> model = UNet(group=cyclic_group(4), rngs=nnx.Rngs(0), **sizes)
      >>> predict_in_tiles(model, np.ones((1, 45, 60, 1), np.float32), tile_size=32).shape
      (1, 45, 60, 2)
    """
    period = 2**model.depth
    margin = model.receptive_radius if margin is None else check_non_negative_integer("margin", margin)
    smallest = -(-(2 * margin + period) // period) * period
    if check_positive_integer("tile_size", tile_size) % period or tile_size < smallest:
        raise ValueError(f"tile_size: expected a multiple of {period}, at least {smallest}; got {tile_size}.")
    pads = halving_pads(x.shape[1:-1], model.depth)
    padded = np.pad(np.asarray(x), ((0, 0), *pads, (0, 0)), mode="edge")
    sides = padded.shape[1:-1]
    run, y = _compiled(model) if apply is None else apply, None
    # A tile has the parity of the side, which decides where pooling samples.
    tile = tuple(min(tile_size + side % 2, side) for side in sides)
    for parts in itertools.product(*(_parts(side, of, period, margin) for side, of in zip(sides, tile, strict=True))):
        cut = tuple(slice(start, start + side) for (start, _, _), side in zip(parts, tile, strict=True))
        kept = tuple(slice(first - start, last - start) for start, first, last in parts)
        result = np.asarray(run(padded[(slice(None), *cut)]))
        if y is None:
            y = np.empty((len(x), *sides, *result.shape[1 + len(sides) :]), result.dtype)
        y[(slice(None), *(slice(first, last) for _, first, last in parts))] = result[(slice(None), *kept)]
    assert y is not None
    inner = tuple(slice(before, side - after) for (before, after), side in zip(pads, sides, strict=True))
    return y[(slice(None), *inner)]


def _parts(side: int, tile: int, period: int, margin: int) -> list[_Part]:
    """The tiles along one axis: from the first to the last side of the image, each with its part beyond the margins."""
    last_start = side - tile
    step = (tile - 2 * margin) // period * period
    starts = [*range(0, last_start, step), last_start] if last_start else [0]
    return [
        (start, start + margin if start else 0, start + tile - margin if start < last_start else side)
        for start in starts
    ]


def _compiled(model: UNet) -> Any:
    copy: Any = nnx.clone(model)
    copy.eval()
    graph, state = nnx.split(copy)
    program = jax.jit(lambda state, x: nnx.merge(graph, state)(x))
    return lambda x: program(state, x)

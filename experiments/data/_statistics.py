"""Range and moments of the pixels of a training split, and its images without contrast, in one pass."""

import dataclasses
from collections.abc import Callable

import numpy as np

# Where images do not stay in memory, so many of them are measured.
SAMPLE = 4096


@dataclasses.dataclass(frozen=True)
class Statistics:
    """What was measured.

    Attributes:
      low: the smallest value.
      high: the largest.
      mean: of each channel.
      deviation: of each channel.
      constant: indices of images of one value.
    """

    low: float
    high: float
    mean: np.ndarray
    deviation: np.ndarray
    constant: np.ndarray

    def in_range(self, low: float, high: float) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Mean and standard deviation after `low` and `high` have become 0 and 1."""
        scale = high - low
        # A channel that never changes, such as an empty stain, is left at its scale.
        deviation = np.where(self.deviation > 0, self.deviation, scale)
        return tuple(((self.mean - low) / scale).tolist()), tuple((deviation / scale).tolist())


def measure(pixels: Callable[[np.ndarray], np.ndarray], indices: np.ndarray, *, chunk: int = 64) -> Statistics:
    """Measures images chunk by chunk, in float64.

    Args:
      pixels: indices to `[n, *spatial, channels]`.
      indices: which images.
      chunk: images read at a time; 1 if they have several sizes.
    """
    lows, highs, sums, squares, constant, count = [], [], [], [], [], 0
    first = pixels(indices[:1])
    # About the mean of the first image: large values with small variance would lose it to round-off.
    shift = first.reshape(-1, first.shape[-1]).mean(axis=0, dtype=np.float64)
    for start in range(0, len(indices), chunk):
        chosen = indices[start : start + chunk]
        images = pixels(chosen)
        flat = images.reshape(len(images), -1, images.shape[-1])
        low, high = flat.min(axis=(1, 2)), flat.max(axis=(1, 2))
        constant.extend(chosen[low == high])
        lows.append(low.min())
        highs.append(high.max())
        values = flat.reshape(-1, images.shape[-1]).astype(np.float64)
        sums.append((values - shift).sum(axis=0))
        squares.append(((values - shift) ** 2).sum(axis=0))
        count += len(values)
    offset = np.sum(sums, axis=0) / count
    variance = np.sum(squares, axis=0) / count - offset**2
    return Statistics(
        low=float(min(lows)),
        high=float(max(highs)),
        mean=offset + shift,
        deviation=np.sqrt(np.maximum(variance, 0)),
        constant=np.asarray(constant, int),
    )

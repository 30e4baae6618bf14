"""How an image becomes what the network reads: one frozen value, stored with a run, so that `predict` repeats it."""

import dataclasses
import pathlib

import numpy as np

from experiments.data import formats
from experiments.data._resize import resize
from experiments.errors import UserError

# Images with masks keep their sizes: the network reads tiles of them in training, and whole images otherwise.
KEEP = "keep"
_BYTES = (0.0, 255.0)
_UNIT = (0.0, 1.0)
# float32 tells this many integers apart.
_FLOAT32_INTEGERS = 2**24


@dataclasses.dataclass(frozen=True)
class Preprocessing:
    """Sizes, channels, range and moments of the images of a data set.

    Attributes:
      sizes: of the spatial axes of a decoded image; of a tile for "keep".
      channels: of every image; grey images are repeated where a data set has three.
      resize_mode: "resize", "pad" or "crop"; "keep" leaves every image its own sizes.
      dtype: of the files: "uint8", "uint16", ...
      value_range: the file values that become 0 and 1.
      mean: of each channel over the training split, after that.
      deviation: of each channel.
      downscale: side of the squares of pixels whose means the network reads.
    """

    sizes: tuple[int, ...]
    channels: int
    resize_mode: str
    dtype: str
    value_range: tuple[float, float] = _BYTES
    mean: tuple[float, ...] = ()
    deviation: tuple[float, ...] = ()
    downscale: int = 1

    @property
    def image_shape(self) -> tuple[int, ...]:
        """Sizes and channels of what the network reads."""
        return (*(size // self.downscale for size in self.sizes), self.channels)

    def read(self, path: pathlib.Path) -> np.ndarray:
        """One file in the sizes and channels of the data set, in its own type.

        Raises:
          UserError: it cannot be read exactly, or is of another kind than the data set.
        """
        self.check(path, formats.read_header(path))
        return self.fit(formats.read_image(path))

    def check(self, path: pathlib.Path, header: formats.Header) -> None:
        """Refuses an image of another kind.

        Raises:
          UserError: another type, dimension or number of channels.
        """
        if len(header.spatial_shape) != len(self.sizes):
            kinds = {2: "an image", 3: "a volume"}
            raise UserError(
                f"{path} is {kinds[len(header.spatial_shape)]} of {list(header.shape)}; "
                f"expected {kinds[len(self.sizes)]}, as the other files are"
            )
        if header.channels not in (1, self.channels):
            raise UserError(f"{path} has {header.channels} channels; expected {self.channels}, as the other files have")
        if header.channels == 1 and self.channels not in (1, 3):
            raise UserError(f"{path} has 1 channel; expected {self.channels}, as the other files have")
        dtype = str(header.dtype.newbyteorder("="))
        if dtype != self.dtype and not (dtype == "uint8" and self._is_unit_range()):
            raise UserError(
                f"{path} holds {dtype}, the other files {self.dtype}: their values have no common scale; convert one kind"
            )

    def fit(self, pixels: np.ndarray) -> np.ndarray:
        """The sizes and channels of the data set; for "keep" the channels alone."""
        if pixels.dtype == np.uint8 and self.dtype != "uint8":
            pixels = pixels / np.float32(255)
        sized = pixels if self.resize_mode == KEEP else resize(pixels, self.sizes, mode=self.resize_mode)
        return np.repeat(sized, self.channels, axis=-1) if sized.shape[-1] < self.channels else sized

    def to_unit_range(self, images: np.ndarray) -> np.ndarray:
        """uint8 as it is, which the network's side divides by 255; all else as float32, the value range as [0, 1]."""
        if images.dtype == np.uint8 and self.downscale == 1:
            return images
        low, high = _BYTES if images.dtype == np.uint8 else self.value_range
        unit = ((images.astype(np.float64) - low) / (high - low)).astype(np.float32)
        return unit if self.downscale == 1 else block_means(unit, self.downscale)

    def _is_unit_range(self) -> bool:
        return self.dtype.startswith("float") and tuple(self.value_range) == _UNIT


def block_means(images: np.ndarray, factor: int) -> np.ndarray:
    """The means of squares (or cubes) of `factor` pixels: `[n, *sizes, channels]` to `[n, *(sizes / factor), channels]`."""
    sizes = images.shape[1:-1]
    blocks = [part for size in sizes for part in (size // factor, factor)]
    axes = tuple(range(2, 2 * len(sizes) + 1, 2))
    return images.reshape(len(images), *blocks, images.shape[-1]).mean(axes, dtype=np.float32)


def value_range(dtype: np.dtype, low: float, high: float, *, name: str) -> tuple[float, float]:
    """The file values that become 0 and 1.

    Bytes have their own range. Everything else has the range measured on the training split, since 12 bits in a file of 16
    are as common as 16; floats that lie in [0, 1] stay as they are.

    Args:
      dtype: of the files.
      low: the smallest value of the training split.
      high: the largest.
      name: what messages call the data set.

    Raises:
      UserError: all values are equal, or float32 cannot tell them apart.
    """
    if low == high:
        raise UserError(f"{name}: every pixel of every training image is {low:g}; there is nothing to learn from")
    if dtype == np.uint8:
        return _BYTES
    if dtype.kind == "f" and min(low, 1 - high) >= 0:
        return _UNIT
    if dtype.kind in "ui" and high - low > _FLOAT32_INTEGERS:
        raise UserError(
            f"{name}: values from {low:.0f} to {high:.0f} are more than float32 tells apart ({_FLOAT32_INTEGERS:,}); "
            "rescale the images"
        )
    return float(low), float(high)

"""The header of an image, read before its pixels are decoded, and what every format has in common."""

import dataclasses
import importlib
import pathlib
from types import ModuleType

import numpy as np

from experiments.errors import UserError


@dataclasses.dataclass(frozen=True)
class Header:
    """The shape and the type of an image.

    Attributes:
      shape: `[rows, columns, channels]`, or `[depth, rows, columns, channels]` for a volume; after its orientation is
        applied.
      dtype: of the pixels.
    """

    shape: tuple[int, ...]
    dtype: np.dtype

    @property
    def spatial_shape(self) -> tuple[int, ...]:
        """The sizes without the channels."""
        return self.shape[:-1]

    @property
    def channels(self) -> int:
        """The number of channels."""
        return self.shape[-1]


def refuse(path: pathlib.Path, reason: str) -> UserError:
    """The error of a file that cannot be read without losing something."""
    return UserError(f"{path}: {reason}")


def import_extra(module: str, path: pathlib.Path) -> ModuleType:
    """Imports an optional reader.

    Raises:
      UserError: it is not installed, with the command that installs it.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise refuse(path, f"reading it needs {module}; pip install 'gequi_jax[images]'") from error


def without_opaque_alpha(pixels: np.ndarray, path: pathlib.Path) -> np.ndarray:
    """Drops the last channel, an alpha channel, where it says nothing.

    Raises:
      UserError: some pixels are transparent.
    """
    alpha = pixels[..., -1]
    opaque = np.iinfo(alpha.dtype).max if np.issubdtype(alpha.dtype, np.integer) else 1
    if (alpha != opaque).any():
        raise refuse(path, "has transparent pixels, which dropping alpha would change; flatten it onto a background")
    return pixels[..., :-1]


def widened(pixels: np.ndarray, bits: int) -> np.ndarray:
    """Values of 1, 2 or 4 bits as bytes: 0 stays 0, the largest value becomes 255, the steps stay equal."""
    return pixels.astype(np.uint8) * np.uint8(255 // (2**bits - 1))

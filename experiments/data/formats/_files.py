"""The format of a file by its name, and the checks that every image passes."""

import pathlib
from types import ModuleType
from typing import Any

import numpy as np

from experiments.data.formats import _dicom, _nifti, _pillow, _tiff
from experiments.data.formats._header import Header, refuse
from experiments.errors import UserError

_FORMATS: dict[str, ModuleType] = {
    **dict.fromkeys((".png", ".jpg", ".jpeg", ".bmp", ".webp"), _pillow),
    **dict.fromkeys((".tif", ".tiff"), _tiff),
    **dict.fromkeys((".nii", ".nii.gz"), _nifti),
    ".dcm": _dicom,
}
SUFFIXES = tuple(_FORMATS)
_LOSSY = (".jpg", ".jpeg", ".webp")


def is_image(path: pathlib.Path) -> bool:
    """Whether a name is that of an image: a file with one of `SUFFIXES`, or a folder that holds a DICOM series."""
    if path.name.startswith("."):
        return False
    return _suffix(path) is not None if not path.is_dir() else _dicom.is_series(path)


def read_header(path: pathlib.Path) -> Header:
    """The shape and type of an image; its pixels stay where they are.

    Raises:
      UserError: no such file, an empty or damaged one, or one that could not be read exactly.
    """
    header = _guarded(path, "read_header")
    if 0 in header.shape:
        raise refuse(path, f"holds no pixels, its shape is {list(header.shape)}")
    if header.dtype.kind not in "uif":
        raise refuse(path, f"holds values of type {header.dtype}; expected integers or floats")
    return header


def read_image(path: pathlib.Path) -> np.ndarray:
    """The pixels of an image, exactly.

    Args:
      path: a file, or the folder of a DICOM series.

    Returns:
      `[rows, columns, channels]` or `[depth, rows, columns, channels]` in the file's own type.

    Raises:
      UserError: what `read_header` raises, pixels that are missing or damaged, or values that are not finite.
    """
    header = read_header(path)
    pixels = _guarded(path, "read_pixels")
    pixels = np.ascontiguousarray(pixels, pixels.dtype.newbyteorder("="))
    if pixels.dtype.kind == "f" and not np.isfinite(pixels).all():
        raise refuse(path, f"{(~np.isfinite(pixels)).sum():,} of its values are NaN or infinite")
    if pixels.shape != header.shape or pixels.dtype != header.dtype.newbyteorder("="):
        raise refuse(
            path,
            f"its header promises {list(header.shape)} of {header.dtype}, "
            f"its pixels are {list(pixels.shape)} of {pixels.dtype}; is it damaged?",
        )
    return pixels


def read_mask(path: pathlib.Path) -> np.ndarray:
    """The values of a mask `[*sizes]`: one channel, several equal ones, or the indices of a palette.

    Raises:
      UserError: what `read_image` raises, a lossy format, or channels that differ.
    """
    if _suffix(path) in _LOSSY:
        raise refuse(path, "is a format that changes values, which no mask survives; save it as PNG or TIFF")
    indices = _pillow.read_palette_indices(path) if _FORMATS.get(_suffix(path) or "") is _pillow else None
    if indices is not None:
        return indices
    pixels = read_image(path)
    if (pixels != pixels[..., :1]).any():
        raise refuse(
            path, f"has {pixels.shape[-1]} channels that differ; expected one value, the class, for each pixel"
        )
    return pixels[..., 0]


def stem(path: pathlib.Path) -> str:
    """The name of an image without its suffix, which may have two parts."""
    suffix = "" if path.is_dir() else _suffix(path) or ""
    return path.name[: len(path.name) - len(suffix)]


def _suffix(path: pathlib.Path) -> str | None:
    name = path.name.lower()
    return next((suffix for suffix in sorted(SUFFIXES, key=len, reverse=True) if name.endswith(suffix)), None)


def _guarded(path: pathlib.Path, task: str) -> Any:
    suffix = ".dcm" if path.is_dir() else _suffix(path)
    if suffix is None:
        raise refuse(path, f"is no image by its name; expected {', '.join(SUFFIXES)}, or a folder of DICOM slices")
    try:
        if not path.exists():
            raise refuse(path, "there is no such file")
        if not path.is_dir() and path.stat().st_size == 0:
            raise refuse(path, "is empty (0 bytes)")
        return getattr(_FORMATS[suffix], task)(path)
    except UserError:
        raise
    # Decoders answer damaged files with every kind of exception there is.
    except Exception as error:
        reason = str(error).partition("\n")[0][:200] or type(error).__name__
        raise refuse(path, f"cannot be read as {suffix[1:]} ({reason}); is it damaged?") from error

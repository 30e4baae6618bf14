"""PNG, JPEG, BMP and WebP by Pillow, where Pillow keeps every bit; EXIF orientation is applied."""

import pathlib
import struct
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from PIL import Image, ImageOps

from experiments.data.formats._header import Header, import_extra, refuse, without_opaque_alpha

# mode -> (channels, type); what is not here cannot be had as it is.
MODES = {
    "1": (1, "u1"),
    "L": (1, "u1"),
    "LA": (1, "u1"),
    "P": (3, "u1"),
    "RGB": (3, "u1"),
    "RGBA": (3, "u1"),
    "I;16": (1, "u2"),
    "I;16B": (1, "u2"),
    "I": (1, "i4"),
    "F": (1, "f4"),
}
# Pillow goes by the content; a TIFF file under another name is not for it to read.
_FORMATS = ("PNG", "JPEG", "BMP", "WEBP")
_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
# PNG colour type -> channels with alpha.
_PNG_CHANNELS = {0: 1, 2: 3, 4: 2, 6: 4}
_TURNED = (5, 6, 7, 8)  # EXIF orientations that exchange rows and columns


def read_header(path: pathlib.Path) -> Header:
    """The header, with the checks that need no pixels."""
    with _opened(path) as image:
        channels, dtype = MODES[image.mode]
        columns, rows = image.size
        if image.getexif().get(0x0112) in _TURNED:
            rows, columns = columns, rows
    deep = _deep_png_channels(path)
    if deep is not None:
        channels, dtype = (1 if deep < 3 else 3), "u2"
    return Header((rows, columns, channels), np.dtype(dtype))


def read_pixels(path: pathlib.Path) -> np.ndarray:
    """The pixels `[rows, columns, channels]`, turned as EXIF says."""
    _check_sums(path)
    deep = _deep_png_channels(path)
    if deep is not None:
        return _read_deep_png(path, deep)
    with _opened(path) as image:
        turned = ImageOps.exif_transpose(image)
        if turned.mode == "P":
            turned = turned.convert("RGBA" if "transparency" in turned.info else "RGB")
        elif turned.mode in ("L", "RGB") and "transparency" in turned.info:
            turned = turned.convert("LA" if turned.mode == "L" else "RGBA")
        elif turned.mode == "1":
            turned = turned.convert("L")
        pixels = np.asarray(turned)
    pixels = pixels[..., None] if pixels.ndim == 2 else pixels
    return without_opaque_alpha(pixels, path) if turned.mode in ("LA", "RGBA") else pixels


def read_palette_indices(path: pathlib.Path) -> np.ndarray | None:
    """The indices `[rows, columns]` of a file with a palette; None of another one, or one that is damaged."""
    try:
        with Image.open(path, formats=_FORMATS) as image:
            return np.asarray(image) if image.mode == "P" else None
    # Whatever is wrong with the file, reading its pixels reports it.
    except Exception:
        return None


@contextmanager
def _opened(path: pathlib.Path) -> Iterator[Image.Image]:
    with Image.open(path, formats=_FORMATS) as image:
        frames = getattr(image, "n_frames", 1)
        if frames != 1:
            raise refuse(path, f"holds {frames} images; save each as a file, or all as a TIFF volume")
        if image.mode not in MODES:
            raise refuse(path, f"its colours are {image.mode}, which RGB would change; convert it to RGB first")
        if not _exif_is_whole(image.info.get("exif", b"")):
            raise refuse(path, "its EXIF block is damaged, so that its orientation is unknown; save it without EXIF")
        yield image


def _exif_is_whole(exif: bytes) -> bool:
    """Whether the first directory of an EXIF block lies inside it; Pillow reads what is left of a damaged one."""
    block = exif.removeprefix(b"Exif\0\0")
    if not block:
        return True
    order = {b"II": "<", b"MM": ">"}.get(block[:2])
    if order is None or len(block) < 8:
        return False
    (start,) = struct.unpack(f"{order}I", block[4:8])
    if start + 2 > len(block):
        return False
    (count,) = struct.unpack(f"{order}H", block[start : start + 2])
    return start + 2 + 12 * count <= len(block)


def _check_sums(path: pathlib.Path) -> None:
    # Pillow compares the checksums of a PNG file only when it is asked to.
    with Image.open(path, formats=_FORMATS) as image:
        if image.format == "PNG":
            image.verify()


def _deep_png_channels(path: pathlib.Path) -> int | None:
    """Channels of a PNG file of 16 bits in colour or with alpha, of which Pillow keeps 8 bits; otherwise None."""
    with path.open("rb") as file:
        start = file.read(26)
    if start[:8] != _PNG_SIGNATURE or start[24] != 16 or start[25] == 0:
        return None
    return _PNG_CHANNELS[start[25]]


def _read_deep_png(path: pathlib.Path, channels: int) -> np.ndarray:
    with Image.open(path, formats=_FORMATS) as image:
        if image.getexif().get(0x0112, 1) != 1:
            raise refuse(path, "is a 16-bit colour PNG with an EXIF orientation; save it upright")
        if "transparency" in image.info:
            raise refuse(path, "has a transparent colour; flatten it onto a background")
    pixels = import_extra("imagecodecs", path).png_decode(path.read_bytes())
    return without_opaque_alpha(pixels, path) if channels in (2, 4) else pixels

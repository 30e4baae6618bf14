"""NIfTI volumes by nibabel, in the order depth, rows, columns (z, y, x) of the stored voxels."""

import gzip
import logging
import pathlib
from typing import Any

import numpy as np

from experiments.data.formats._header import Header, import_extra, refuse

# What it reports of damaged headers, it raises too.
logging.getLogger("nibabel.global").setLevel(logging.CRITICAL)


def read_header(path: pathlib.Path) -> Header:
    """The header; the type is that of the values after the file's own scaling."""
    image = _opened(path)
    return Header((*_sizes(path, image)[::-1], 1), _type(image))


def read_pixels(path: pathlib.Path) -> np.ndarray:
    """The voxels `[depth, rows, columns, 1]`, scaled where the file says so."""
    image = _opened(path)
    voxels = np.asanyarray(image.dataobj if _is_scaled(image) else image.dataobj.get_unscaled())
    return voxels.reshape(_sizes(path, image)).transpose()[..., None].astype(_type(image), copy=False)


def _opened(path: pathlib.Path) -> Any:
    nibabel = import_extra("nibabel", path)
    content = path.read_bytes()
    if path.suffix.lower() == ".gz":
        # Whole, so that its checksum is compared.
        content = gzip.decompress(content)
    magic = content[344:348]
    return (nibabel.Nifti1Image if magic[:2] in (b"n+", b"ni") else nibabel.Nifti2Image).from_bytes(content)


def _sizes(path: pathlib.Path, image: Any) -> tuple[int, ...]:
    shape = tuple(image.shape)
    if len(shape) < 3 or any(size != 1 for size in shape[3:]):
        raise refuse(path, f"holds {list(shape)} voxels; expected one volume, depth x rows x columns")
    if image.get_data_dtype().fields:
        raise refuse(path, f"its voxels are colours ({image.get_data_dtype()}); expected one value a voxel")
    return shape[:3]


def _is_scaled(image: Any) -> bool:
    return (image.dataobj.slope, image.dataobj.inter) != (1, 0)


def _type(image: Any) -> np.dtype:
    return np.dtype(np.float64) if _is_scaled(image) else image.get_data_dtype().newbyteorder("=")

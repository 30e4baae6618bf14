"""DICOM by pydicom: one file, or a folder whose files are the slices of one series."""

import pathlib
from typing import Any

import numpy as np

from experiments.data.formats._header import Header, import_extra, refuse

_INVERTED = "MONOCHROME1"
_GREY = (_INVERTED, "MONOCHROME2")
_COLOURS = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT")
_UNEVEN = 0.01  # of the distance between two slices


def is_series(folder: pathlib.Path) -> bool:
    """Whether a folder holds DICOM files."""
    return any(file.suffix.lower() == ".dcm" for file in folder.iterdir())


def read_header(path: pathlib.Path) -> Header:
    """The header of a file, or of a series as one volume."""
    if not path.is_dir():
        return _header_of(path, _read(path, pixels=False))
    slices = _slices(path)
    headers = {_header_of(file, dataset) for file, dataset in slices}
    first = _header_of(*slices[0])
    if len(headers) > 1 or len(first.shape) != 3:
        raise refuse(path, "its files differ in size or type, or are volumes; expected the slices of one series")
    return Header((len(slices), *first.shape), first.dtype)


def read_pixels(path: pathlib.Path) -> np.ndarray:
    """The values `[rows, columns, channels]`, or `[slices, rows, columns, channels]`, rescaled as the file says."""
    if path.is_dir():
        return np.stack([_pixels_of(_read(file, pixels=True)) for file, _ in _slices(path)])
    return _pixels_of(_read(path, pixels=True))


def _read(path: pathlib.Path, *, pixels: bool) -> Any:
    pydicom = import_extra("pydicom", path)
    dataset = pydicom.dcmread(path, stop_before_pixels=not pixels)
    colours = dataset.get("PhotometricInterpretation")
    if colours not in (*_GREY, *_COLOURS):
        raise refuse(path, f"its colours are {colours}; expected {', '.join((*_GREY, *_COLOURS))}")
    if "ModalityLUTSequence" in dataset:
        raise refuse(
            path, "its values stand for those of a table (ModalityLUTSequence); export it with the table applied"
        )
    return dataset


def _header_of(path: pathlib.Path, dataset: Any) -> Header:
    frames = int(dataset.get("NumberOfFrames", 1) or 1)
    sizes = (int(dataset.Rows), int(dataset.Columns), int(dataset.SamplesPerPixel))
    if _scale(dataset) != (1, 0):
        dtype = np.dtype(np.int32 if _is_whole(dataset) else np.float64)
    elif dataset.BitsAllocated in (8, 16, 32):
        dtype = np.dtype(f"{'i' if dataset.PixelRepresentation else 'u'}{dataset.BitsAllocated // 8}")
    else:
        raise refuse(path, f"has {dataset.BitsAllocated} bits a sample; expected 8, 16 or 32")
    return Header((frames, *sizes) if frames > 1 else sizes, dtype)


def _pixels_of(dataset: Any) -> np.ndarray:
    values = dataset.pixel_array
    values = values if dataset.SamplesPerPixel > 1 else values[..., None]
    if dataset.PhotometricInterpretation == _INVERTED:
        # The darkest value becomes the brightest, in the range that the file declares.
        values = (-1 if dataset.PixelRepresentation else 2**dataset.BitsStored - 1) - values
    slope, intercept = _scale(dataset)
    if (slope, intercept) == (1, 0):
        return values
    if _is_whole(dataset):
        return (values.astype(np.int64) * int(slope) + int(intercept)).astype(np.int32)
    return values * slope + intercept


def _scale(dataset: Any) -> tuple[float, float]:
    return float(dataset.get("RescaleSlope", 1)), float(dataset.get("RescaleIntercept", 0))


def _is_whole(dataset: Any) -> bool:
    slope, intercept = _scale(dataset)
    whole = slope.is_integer() and intercept.is_integer()
    return whole and abs(slope) * 2**dataset.BitsStored + abs(intercept) < 2**31


def _slices(folder: pathlib.Path) -> list[tuple[pathlib.Path, Any]]:
    """The files of a series from its first slice to its last."""
    files = sorted(file for file in folder.iterdir() if file.suffix.lower() == ".dcm")
    slices = [(file, _read(file, pixels=False)) for file in files]
    if len({str(dataset.get("SeriesInstanceUID")) for _, dataset in slices}) > 1:
        raise refuse(folder, "holds several series; keep each in a folder of its own")
    placed = sorted(((_place(folder, dataset), file, dataset) for file, dataset in slices), key=lambda item: item[0])
    steps = np.diff([place for place, _, _ in placed])
    if steps.size and (steps.min() <= 0 or np.ptp(steps) > _UNEVEN * steps.min()):
        raise refuse(folder, f"its slices lie {steps.min():g} to {steps.max():g} apart; are some missing or doubled?")
    return [(file, dataset) for _, file, dataset in placed]


def _place(folder: pathlib.Path, dataset: Any) -> float:
    position, axes = dataset.get("ImagePositionPatient"), dataset.get("ImageOrientationPatient")
    if position is not None and axes is not None:
        normal = np.cross(np.asarray(axes[:3], float), np.asarray(axes[3:], float))
        return round(float(normal @ np.asarray(position, float)), 4)
    if dataset.get("InstanceNumber") is None:
        raise refuse(folder, "its slices have neither a position nor a number; their order is unknown")
    return float(dataset.InstanceNumber)

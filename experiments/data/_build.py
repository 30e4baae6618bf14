"""Builds a data set from a listing: chooses sizes and channels, measures the training split, reads files on demand."""

import dataclasses
import pathlib
import time
from collections.abc import Sequence

import numpy as np

from experiments.data import formats
from experiments.data._file_pixels import FilePixels, Joined, fits_in_memory
from experiments.data._labels import LabelNames
from experiments.data._listing import Listing, Split
from experiments.data._preprocessing import Preprocessing, value_range
from experiments.data._sizes import Fits, choose_sizes
from experiments.data._sources import Dataset, PixelSource, check_divisible
from experiments.data._statistics import SAMPLE, Statistics, measure
from experiments.errors import UserError


@dataclasses.dataclass(frozen=True)
class ReadingOptions:
    """How images are read and split.

    Attributes:
      image_size: sizes of the spatial axes; () leaves the choice to the data and the network.
      resize_mode: "resize", "pad" or "crop".
      downscale: side of the squares of pixels that are averaged.
      num_validation: held out where the data set has no validation split (0: an eighth).
      num_train: training images with masks to use (0: all); others are cut off after they are read.
      num_test: test images with masks to use (0: all).
      tile_size: sizes of the tiles that training cuts out of images with masks; () for whole images.
      tiles_per_epoch: their number (0: enough to cover every image).
      seed: of what is held out.
      fits: why a network cannot read an image shape, or None where it can.
    """

    image_size: tuple[int, ...] = ()
    resize_mode: str = "pad"
    downscale: int = 1
    num_validation: int = 0
    num_train: int = 0
    num_test: int = 0
    tile_size: tuple[int, ...] = ()
    tiles_per_epoch: int = 0
    seed: int = 0
    fits: Fits = lambda shape: None


def build_dataset(listing: Listing, options: ReadingOptions) -> Dataset:
    """Reads the headers of all training images, measures their pixels and opens the splits.

    Raises:
      UserError: images that cannot be read exactly, are of several kinds, or do not suit the network.
    """
    train, validation, test, notes = listing.completed(options.num_validation, seed=options.seed)
    headers = [*headers_of(train), *headers_of(validation)]
    preprocessing, size_notes = _decide(listing.name, headers, options)
    keep = fits_in_memory(len(train) + len(validation), preprocessing)
    pixels = _open(train, preprocessing, keep=keep)
    started = time.perf_counter()
    statistics = _measure(pixels, len(train), keep=keep, seed=options.seed)
    seconds = time.perf_counter() - started
    preprocessing = with_statistics(listing.name, preprocessing, statistics)

    def open_test() -> PixelSource:
        split = test()
        return PixelSource(_open_checked(split, preprocessing), split.labels, preprocessing)

    return Dataset(
        name=listing.name,
        train=PixelSource(pixels, train.labels, preprocessing),
        validation=PixelSource(_open(validation, preprocessing, keep=keep), validation.labels, preprocessing),
        test=open_test,
        num_classes=len(listing.labels.names),
        labels=listing.labels,
        preprocessing=preprocessing,
        notes=(*notes, *size_notes, *constant_notes(train, statistics), *_reading_notes(pixels, seconds, keep)),
    )


def open_split(listing: Listing, split: str, preprocessing: Preprocessing, labels: LabelNames) -> PixelSource:
    """The images of another data set, read as this preprocessing says and labelled by these classes.

    Args:
      listing: of the other data set.
      split: "train", "validation", "test", or "all".
      preprocessing: how its images are read.
      labels: the classes that are known.

    Raises:
      UserError: no such split, classes that are not known, or images of another kind.
    """
    parts = {"train": listing.train, "validation": listing.validation}
    parts["test"] = listing.test() if listing.test is not None and split in ("test", "all") else None
    chosen = [part for name, part in parts.items() if part is not None and split in (name, "all")]
    if not chosen:
        raise UserError(f"{listing.name} has no {split} split")
    unknown = set(listing.labels.names) - set(labels.names)
    if unknown:
        raise UserError(f"{listing.name} has classes that the run has not: {', '.join(sorted(unknown)[:5])}")
    places = np.asarray([labels.names.index(name) for name in listing.labels.names])
    opened, numbers = [], []
    for part in chosen:
        opened.append(_open_checked(part, preprocessing))
        numbers.append(_renumbered(part.labels, places, len(labels.names)))
    pixels = opened[0] if len(opened) == 1 else Joined(opened)
    return PixelSource(pixels, np.concatenate(numbers), preprocessing)


def _renumbered(labels: np.ndarray, places: np.ndarray, num_classes: int) -> np.ndarray:
    if labels.ndim == 1:
        return places[labels]
    result = np.zeros((len(labels), num_classes), np.int32)
    result[:, places] = labels
    return result


def headers_of(split: Split) -> list[formats.Header]:
    """The headers of the images of a split."""
    if isinstance(split.images, np.ndarray):
        return [formats.Header(split.images.shape[1:], split.images.dtype)]
    return [formats.read_header(path) for path in split.images]


def _names(split: Split) -> Sequence[pathlib.Path]:
    return [pathlib.Path("test images")] if isinstance(split.images, np.ndarray) else split.images


def _decide(name: str, headers: list[formats.Header], options: ReadingOptions) -> tuple[Preprocessing, tuple[str, ...]]:
    dims = {len(header.spatial_shape) for header in headers}
    if len(dims) > 1:
        raise UserError(f"{name} mixes images and volumes (files of several pages); keep one kind")
    channels = max(header.channels for header in headers)
    shapes = [header.spatial_shape for header in headers]
    if options.image_size:
        if len(options.image_size) != len(shapes[0]):
            axes = "(ROWS,COLUMNS)" if len(shapes[0]) == 2 else "(DEPTH,ROWS,COLUMNS)"
            raise UserError(f"image_size: expected {axes} for {name}; got {tuple(options.image_size)}")
        sizes, note = tuple(options.image_size), None
    else:
        sizes, note = choose_sizes(shapes, lambda sizes: _refusal(sizes, channels, options), name=name)
    check_divisible(sizes, options.downscale, name=name)
    dtype = str(headers[0].dtype.newbyteorder("="))
    preprocessing = Preprocessing(sizes, channels, options.resize_mode, dtype, downscale=options.downscale)
    return preprocessing, () if note is None else (note,)


def _refusal(sizes: tuple[int, ...], channels: int, options: ReadingOptions) -> str | None:
    if any(size % options.downscale for size in sizes):
        return f"downscale={options.downscale} does not divide {list(sizes)}"
    return options.fits((*(size // options.downscale for size in sizes), channels))


def _open(split: Split, preprocessing: Preprocessing, *, keep: bool) -> np.ndarray | FilePixels:
    if isinstance(split.images, np.ndarray):
        if split.images.shape[1:] == (*preprocessing.sizes, preprocessing.channels):
            return split.images
        return np.stack([preprocessing.fit(image) for image in split.images])
    for path in split.images:
        preprocessing.check(path, formats.read_header(path))
    return FilePixels(split.images, preprocessing, keep=keep)


def _open_checked(split: Split, preprocessing: Preprocessing) -> np.ndarray | FilePixels:
    for path, header in zip(_names(split), headers_of(split), strict=True):
        preprocessing.check(path, header)
    return _open(split, preprocessing, keep=fits_in_memory(len(split), preprocessing))


def with_statistics(name: str, preprocessing: Preprocessing, statistics: Statistics) -> Preprocessing:
    """The preprocessing with the value range and the moments that were measured."""
    low, high = value_range(np.dtype(preprocessing.dtype), statistics.low, statistics.high, name=name)
    mean, deviation = statistics.in_range(low, high)
    return dataclasses.replace(preprocessing, value_range=(low, high), mean=mean, deviation=deviation)


def _measure(pixels: np.ndarray | FilePixels, total: int, *, keep: bool, seed: int) -> Statistics:
    indices = np.arange(total)
    if not keep and total > SAMPLE:
        indices = np.sort(np.random.default_rng(seed).choice(total, SAMPLE, replace=False))
    return measure(pixels.__getitem__, indices)


def constant_notes(train: Split, statistics: Statistics) -> tuple[str, ...]:
    """What the user should know of training images of a single value."""
    found = statistics.constant
    if not len(found):
        return ()
    names = [f"image {i}" if isinstance(train.images, np.ndarray) else str(train.images[i]) for i in found[:3]]
    more = "" if len(found) <= 3 else f" and {len(found) - 3} more"
    return (f"{len(found)} training image(s) have a single value: {', '.join(names)}{more}",)


def _reading_notes(pixels: np.ndarray | FilePixels, seconds: float, keep: bool) -> tuple[str, ...]:
    if isinstance(pixels, np.ndarray):
        return ()
    kept = "they stay in memory" if keep else "they do not fit in half of the memory and are decoded again every epoch"
    return (f"{min(len(pixels), len(pixels) if keep else SAMPLE):,} images were decoded in {seconds:.1f} s; {kept}",)

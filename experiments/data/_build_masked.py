"""Builds a data set of images with masks from a listing: they keep their sizes, and training reads tiles of them."""

import pathlib
from collections.abc import Callable

import numpy as np

from experiments.data import formats
from experiments.data._build import ReadingOptions, constant_notes, headers_of, with_statistics
from experiments.data._file_pixels import available_memory
from experiments.data._labels import LabelNames
from experiments.data._listing import Listing, Split
from experiments.data._masked import ImageFiles, MaskedSource, TiledSource
from experiments.data._preprocessing import KEEP, Preprocessing
from experiments.data._sources import Dataset
from experiments.data._statistics import measure
from experiments.errors import UserError


def build_masked(listing: Listing, options: ReadingOptions) -> Dataset:
    """Checks images and masks of the training and the validation split, and measures the pixels.

    Raises:
      UserError: images of several kinds, masks of other sizes, or tiles that do not fit.
    """
    train, validation, test, notes = listing.completed(options.num_validation, seed=options.seed)
    train = _first(train, options.num_train, name=f"{listing.name}, train")
    headers = headers_of(train)
    sizes = _tile_sizes(listing.name, headers, options.tile_size)
    channels = max(header.channels for header in headers)
    preprocessing = Preprocessing(sizes, channels, KEEP, str(headers[0].dtype.newbyteorder("=")))
    images = open_masked(train, preprocessing).images
    statistics = measure(lambda indices: np.asarray(images[indices[0]])[None], np.arange(len(train)), chunk=1)
    preprocessing = with_statistics(listing.name, preprocessing, statistics)
    source = TiledSource(MaskedSource(images, train.labels, preprocessing), sizes, options.tiles_per_epoch)
    return Dataset(
        name=listing.name,
        train=source,
        validation=open_masked(validation, preprocessing),
        test=lambda: open_masked(_first(test(), options.num_test, name=f"{listing.name}, test"), preprocessing),
        num_classes=len(listing.labels.names),
        labels=listing.labels,
        preprocessing=preprocessing,
        notes=(*notes, *_notes(source, listing.labels), *constant_notes(train, statistics)),
    )


def open_masked(split: Split, preprocessing: Preprocessing) -> MaskedSource:
    """The images of a split with their masks.

    Raises:
      UserError: images of another kind, or masks of another size.
    """
    headers, needed = headers_of(split), 0
    headers = headers * len(split) if isinstance(split.images, np.ndarray) else headers
    for index, (header, mask) in enumerate(zip(headers, split.labels, strict=True)):
        place = pathlib.Path(f"image {index}") if isinstance(split.images, np.ndarray) else split.images[index]
        preprocessing.check(place, header)
        if mask.shape != header.spatial_shape:
            raise UserError(
                f"{place}: expected a mask of {_times(header.spatial_shape)}, the size of the image; got {_times(mask.shape)}"
            )
        needed += int(np.prod(header.shape)) * header.dtype.itemsize
    if isinstance(split.images, np.ndarray):
        return MaskedSource(split.images, split.labels, preprocessing)
    files = ImageFiles(split.images, preprocessing, keep=2 * needed <= available_memory())
    return MaskedSource(files, split.labels, preprocessing)


def open_masked_split(listing: Listing, split: str, preprocessing: Preprocessing) -> list[MaskedSource]:
    """The images of another data set with their masks, one source for each of its splits that are asked for.

    Args:
      listing: of the other data set, with the classes of this one.
      split: "train", "validation", "test", or "all".
      preprocessing: how its images are read.

    Raises:
      UserError: no such split, or images of another kind.
    """
    parts: dict[str, Callable[[], Split | None]] = {
        "train": lambda: listing.train,
        "validation": lambda: listing.validation,
        "test": lambda: None if listing.test is None else listing.test(),
    }
    chosen = [part for name, read in parts.items() if split in (name, "all") and (part := read()) is not None]
    if not chosen:
        raise UserError(f"{listing.name} has no {split} split")
    return [open_masked(part, preprocessing) for part in chosen]


def _first(split: Split, number: int, *, name: str) -> Split:
    if number > len(split):
        raise UserError(f"{name}: expected at most {len(split)} examples; got a request for {number}")
    return split.select(np.arange(number)) if number else split


def _tile_sizes(name: str, headers: list[formats.Header], tile_size: tuple[int, ...]) -> tuple[int, ...]:
    """The sizes that training reads: those of a tile, or of the images where there is none."""
    shapes = {header.spatial_shape for header in headers}
    if not tile_size:
        if len(shapes) > 1:
            smallest, largest = min(shapes), max(shapes)
            raise UserError(
                f"{name} has images of several sizes, such as {_times(smallest)} and {_times(largest)}: set "
                "--config.tile_size=(ROWS,COLUMNS), the size of the tiles that training cuts out of them"
            )
        return next(iter(shapes))
    for shape in sorted(shapes):
        if len(shape) != len(tile_size) or any(tile > side for tile, side in zip(tile_size, shape, strict=True)):
            raise UserError(
                f"tile_size: expected tiles no larger than the images of {name}, of which one is {_times(shape)}; got "
                f"{_times(tile_size)}"
            )
    return tuple(tile_size)


def _notes(train: TiledSource, labels: LabelNames) -> tuple[str, ...]:
    """What training reads, and classes that it does not meet."""
    notes = [
        f"images with masks, of the classes {', '.join(labels.names)}; an epoch reads {len(train):,} tiles of "
        f"{_times(train.sizes)} from {train.num_images:,} image(s)"
    ]
    missing = [name for name, count in zip(labels.names, train.class_counts, strict=False) if not count]
    if missing:
        notes.append(f"no pixel of the training masks has the class {', '.join(missing)}")
    return tuple(notes)


def _times(sizes: tuple[int, ...]) -> str:
    return "x".join(map(str, sizes))

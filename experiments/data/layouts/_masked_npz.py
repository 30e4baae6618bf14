"""One .npz file of images and masks, with a prefix for each split or without."""

import pathlib

import numpy as np

from experiments.data._labels import LabelNames
from experiments.data._listing import Listing, Split
from experiments.data._masks import as_bytes, classes_of, encode_masks
from experiments.data.layouts._npz import as_images, read_archive
from experiments.errors import UserError

_PREFIXES = {"train": ("train_", ""), "validation": ("validation_", "val_"), "test": ("test_",)}


def holds_masks(path: str) -> bool:
    """Whether a file has an array of masks for training."""
    file = pathlib.Path(path)
    return file.is_file() and _prefix(file, "train", "masks") is not None


def list_masked_npz(path: str, known: LabelNames | None = None) -> Listing:
    """Lists `images` and `masks`, or `train_images`, `train_masks`, `val_images`, `val_masks`, `test_images`, `test_masks`.

    Images are as in `list_npz`. Masks are booleans or class indices `[n, *sizes]`, or bits packed along the last axis by
    `np.packbits`: uint8 whose last axis has an eighth of the columns.

    Args:
      path: the file.
      known: classes that are known; by default those of the masks.

    Raises:
      UserError: no such file, arrays missing, or masks that do not fit their images.
    """
    file = pathlib.Path(path)
    if not file.is_file():
        raise UserError(f"--config.dataset=npz: expected --config.data_dir=FILE.npz; got {path!r}, which is no file")
    present = [split for split in _PREFIXES if _prefix(file, split, "images") is not None]
    if "train" not in present:
        raise UserError(f"{file} has no arrays images and masks, or train_images and train_masks")
    arrays = {split: read_masked(file, split) for split in present if split != "test"}
    names = known or classes_of((mask for _, masks, _ in arrays.values() for mask in masks), name=path)

    def split(name: str) -> Split:
        images, masks, _ = arrays.get(name) or read_masked(file, name)
        places = [f"{path}, {name}, mask {index}" for index in range(len(masks))]
        return Split(images, encode_masks(masks, names.names, places))

    return Listing(
        name=file.stem,
        labels=names,
        train=split("train"),
        validation=split("validation") if "validation" in present else None,
        test=(lambda: split("test")) if "test" in present else None,
        notes=arrays["train"][2],
    )


def _prefix(file: pathlib.Path, split: str, kind: str) -> str | None:
    present = read_archive(file, lambda archive: list(archive.files))
    return next((prefix for prefix in _PREFIXES[split] if f"{prefix}{kind}" in present), None)


def read_masked(file: pathlib.Path, split: str) -> tuple[np.ndarray, np.ndarray, tuple[str, ...]]:
    """The images of a split that is there, their masks and what the user should know.

    Raises:
      UserError: a file that cannot be read, no masks, or masks that do not fit.
    """
    prefix = _prefix(file, split, "images")
    if _prefix(file, split, "masks") != prefix:
        raise UserError(f"{file}: expected {prefix}masks beside {prefix}images; there is no such array")
    images, masks = read_archive(file, lambda archive: (archive[f"{prefix}images"], archive[f"{prefix}masks"]))
    dims = read_archive(file, lambda archive: int(archive["spatial_dims"]) if "spatial_dims" in archive.files else 0)
    name = f"{file}, {prefix}masks"
    # Masks say how many of the axes are spatial, too.
    images = as_images(images, dims or (2 if masks.ndim == 3 else 0), name=f"{file}, {prefix}images")
    shape = images.shape[:-1]
    if not len(images):
        raise UserError(f"{file}, {prefix}images: the split is empty")
    if masks.shape == shape:
        return images, as_bytes(masks, name=name), ()
    if masks.dtype == np.uint8 and masks.shape == (*shape[:-1], -(-shape[-1] // 8)):
        note = f"{prefix}masks are packed bits along the last axis, {masks.shape[-1]} bytes for {shape[-1]} pixels"
        return images, np.unpackbits(masks, axis=-1, count=shape[-1]), (note,)
    raise UserError(f"{name}: expected {list(shape)}, a value for each pixel of the images; got {list(masks.shape)}")

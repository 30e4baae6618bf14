"""A user's own images: an .npz file, or a folder with a sub-folder for each class."""

import pathlib
from typing import Any

import numpy as np

from experiments.data._mnist import read_npz
from experiments.data._sources import ArraySource, Dataset, RecordSource, Source, check_labels, split_validation
from experiments.errors import UserError

SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp"}


def load_npz(path: str, *, num_validation: int, seed: int) -> Dataset:
    """Reads train_images, train_labels, test_images and test_labels from one .npz file.

    Images are `[n, rows, columns]` or `[n, rows, columns, channels]`, uint8 or floats in [0, 1].

    Raises:
      UserError: no such file, missing arrays, or arrays of the wrong shape or type.
    """
    file = pathlib.Path(path)
    if not file.is_file():
        raise UserError(f"--config.dataset=npz: expected --config.data_dir=FILE.npz; got {path!r}, which is no file")
    arrays = read_npz(file)
    num_classes = int(arrays["train_labels"].max()) + 1 if arrays["train_labels"].size else 0

    def source(split: str) -> ArraySource:
        images, labels = arrays[f"{split}_images"], arrays[f"{split}_labels"]
        if images.dtype != np.uint8 and not np.issubdtype(images.dtype, np.floating):
            raise UserError(f"{path}: {split}_images: expected uint8 or floats in [0, 1]; got {images.dtype}")
        images = images if images.dtype == np.uint8 else images.astype(np.float32)
        images = images[..., None] if images.ndim == 3 else images
        check_labels(labels, num_classes, name=f"{path}, {split}")
        return ArraySource(images, labels, name=f"{path}, {split}")

    train, validation = split_validation(source("train"), num_validation, seed=seed, name=path)
    return Dataset(file.stem, train, validation, lambda: source("test"), num_classes)


class ImageFiles:
    """Image files as records, read on access."""

    def __init__(self, files: list[tuple[pathlib.Path, int]]):
        self.files = files
        self.shape = self[0]["image"].shape

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> dict[str, Any]:
        from PIL import Image, UnidentifiedImageError

        path, label = self.files[index]
        try:
            with Image.open(path) as image:
                pixels = np.asarray(image.convert("L" if image.mode in ("1", "L", "I;16") else "RGB"))
        except (OSError, UnidentifiedImageError) as error:
            raise UserError(f"{path}: expected an image; it cannot be read ({error})") from error
        pixels = pixels[..., None] if pixels.ndim == 2 else pixels
        if pixels.shape != getattr(self, "shape", pixels.shape):
            raise UserError(
                f"{path}: expected shape {list(self.shape)}, that of the first image; got {list(pixels.shape)}; use one size"
            )
        return {"image": pixels, "label": label}


def load_folder(path: str, *, num_validation: int, seed: int) -> Dataset:
    """Reads `path/train/CLASS/IMAGE` and `path/test/CLASS/IMAGE`; class indices follow the order of the names.

    Raises:
      UserError: no such folders, no images, or a class that occurs only in the test set.
    """
    folder = pathlib.Path(path)
    layout = f"expected {folder}/train/CLASS/IMAGE and {folder}/test/CLASS/IMAGE"
    for split in ("train", "test"):
        if not (folder / split).is_dir():
            raise UserError(f"--config.dataset=folder: {layout}; there is no folder {folder / split}")
    classes = sorted(child.name for child in (folder / "train").iterdir() if child.is_dir())

    def source(split: str) -> Source:
        unknown = {child.name for child in (folder / split).iterdir() if child.is_dir()} - set(classes)
        if unknown:
            raise UserError(f"{folder / split}: expected the classes of train; got also {', '.join(sorted(unknown))}")
        files = [
            (file, label)
            for label, name in enumerate(classes)
            for file in sorted((folder / split / name).glob("*"))
            if file.suffix.lower() in SUFFIXES
        ]
        if not files:
            raise UserError(f"{layout}, with files {', '.join(sorted(SUFFIXES))}; got no images in {folder / split}")
        return RecordSource(ImageFiles(files))

    train, validation = split_validation(source("train"), num_validation, seed=seed, name=path)
    return Dataset(folder.name, train, validation, lambda: source("test"), len(classes))

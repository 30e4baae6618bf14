"""One .npz file of arrays: images and labels of each split, named as here, as Keras or as MedMNIST names them."""

import pathlib
import zipfile
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np

from experiments.data._labels import MULTI_LABEL, LabelNames, check_arrays
from experiments.data._listing import Listing, Split
from experiments.errors import UserError

_SPLITS = {"train": ("train",), "validation": ("validation", "val"), "test": ("test",)}
# More channels than this are taken for the columns of a volume.
_MOST_CHANNELS = 4


def list_npz(path: str, task: str | None = None, *, names: tuple[str, ...] = ()) -> Listing:
    """Lists `train_images`, `train_labels`, `test_images`, `test_labels`, and `val_images`, `val_labels` if they are there.

    Images are `[n, rows, columns]` or `[n, rows, columns, channels]`; volumes are `[n, depth, rows, columns]` or
    `[n, depth, rows, columns, channels]`. Four axes whose last has more than 4 entries are volumes, unless the file holds
    `spatial_dims`, the number 2. Labels are `[n]`, `[n, 1]`, or 0 and 1 in `[n, classes]`.

    Args:
      path: the file.
      task: "classes", "multi_label" or "ordinal"; by default what the shape of the labels says.
      names: of the classes; by default their numbers.

    Raises:
      UserError: no such file, arrays missing, or arrays that do not fit.
    """
    file = pathlib.Path(path)
    if not file.is_file():
        raise UserError(f"--config.dataset=npz: expected --config.data_dir=FILE.npz; got {path!r}, which is no file")
    train_images, train_labels = _arrays(file, "train")
    labels, task = check_arrays(train_labels, task, name=f"{path}, train")
    if not labels.size:
        raise UserError(f"{path}, train: the split is empty")
    count = labels.shape[1] if task == MULTI_LABEL else max(int(labels.max()) + 1, len(names), 2)
    known = LabelNames(names or tuple(map(str, range(count))), task)

    def split(name: str) -> Split:
        images, labels = _arrays(file, name)
        return Split(images, _checked(labels, known, len(images), name=f"{path}, {name}"))

    return Listing(
        name=file.stem,
        labels=known,
        train=Split(train_images, _checked(train_labels, known, len(train_images), name=f"{path}, train")),
        validation=split("validation") if _key(file, "validation", "images", required=False) else None,
        test=(lambda: split("test")) if _key(file, "test", "images", required=False) else None,
    )


def _key(file: pathlib.Path, split: str, kind: str, *, required: bool = True) -> str | None:
    keras = {"images": "x", "labels": "y"}[kind]
    candidates = [f"{word}_{kind}" for word in _SPLITS[split]] + [f"{keras}_{word}" for word in _SPLITS[split]]
    present = read_archive(file, lambda archive: list(archive.files))
    key = next((name for name in candidates if name in present), None)
    if key is None and required:
        raise UserError(f"{file} has no array {candidates[0]}; it has {', '.join(present)}")
    return key


def read_archive(file: pathlib.Path, take: Callable[[Any], Any]) -> Any:
    """What `take` makes of the archive of a file.

    Raises:
      UserError: the file cannot be read.
    """
    try:
        with open(file, "rb") as stream, np.load(stream) as archive:
            return take(archive)
    # Damage shows as any of these, by where it is.
    except (OSError, ValueError, EOFError, KeyError, NotImplementedError, zipfile.BadZipFile, zlib.error) as error:
        raise UserError(f"{file} cannot be read as .npz ({error}); is it truncated?") from error


def _arrays(file: pathlib.Path, split: str) -> tuple[np.ndarray, np.ndarray]:
    keys = _key(file, split, "images"), _key(file, split, "labels")
    images, labels = read_archive(file, lambda archive: tuple(archive[key] for key in keys))
    dims = read_archive(file, lambda archive: int(archive["spatial_dims"]) if "spatial_dims" in archive.files else 0)
    return as_images(images, dims, name=f"{file}, {split}"), labels


def as_images(images: np.ndarray, dims: int, *, name: str) -> np.ndarray:
    """Images with an axis of channels, booleans as bytes.

    Args:
      images: `[n, *sizes]` or `[n, *sizes, channels]`.
      dims: number of spatial axes; 0 leaves it to the shape.
      name: what messages call them.

    Raises:
      UserError: other shapes or types, or values that are not finite.
    """
    if images.dtype.kind not in "buif":
        raise UserError(f"{name}: expected images of integers or floats; got {images.dtype}")
    if images.dtype.kind == "f" and not np.isfinite(images).all():
        raise UserError(f"{name}: {(~np.isfinite(images)).sum():,} values are NaN or infinite")
    if images.dtype.kind == "b":
        images = images.astype(np.uint8) * np.uint8(255)
    if images.ndim == 3 or (images.ndim == 4 and dims != 2 and images.shape[-1] > _MOST_CHANNELS):
        images = images[..., None]
    if images.ndim not in (4, 5) or 0 in images.shape[1:]:
        raise UserError(f"{name}: expected images [n, rows, columns, channels] or volumes; got {list(images.shape)}")
    return images


def _checked(labels: np.ndarray, known: LabelNames, count: int, *, name: str) -> np.ndarray:
    labels, _ = check_arrays(labels, known.task, name=name)
    if len(labels) != count:
        raise UserError(
            f"{name}: expected images [n, ...] and as many labels; got {count} images and {len(labels)} labels"
        )
    if not count:
        raise UserError(f"{name}: the split is empty")
    classes = len(known.names)
    if known.task == MULTI_LABEL and (labels.ndim != 2 or labels.shape[1] != classes):
        raise UserError(f"{name}: expected labels [n, {classes}]; got {list(labels.shape)}")
    if known.task != MULTI_LABEL and (labels.min() < 0 or labels.max() >= classes):
        raise UserError(
            f"{name}: labels lie in 0 .. {classes - 1}; got {labels.min()} .. {labels.max()}; check the file"
        )
    return labels

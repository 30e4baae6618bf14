"""A folder with one sub-folder for each class, optionally inside one folder for each split."""

import collections
import pathlib

import numpy as np

from experiments.data import formats
from experiments.data._labels import CLASSES, MULTI_LABEL, LabelNames
from experiments.data._listing import Listing, Split
from experiments.errors import UserError

_VALIDATION = ("validation", "val", "valid")


def list_folder(path: str, task: str | None = None) -> Listing:
    """Lists `path/train/CLASS/IMAGE`, with `path/validation` and `path/test` where they are, or just `path/CLASS/IMAGE`.

    A folder of DICOM slices in the place of an image is one volume.

    Args:
      path: the folder.
      task: "classes" or "ordinal", of classes whose names are numbers.

    Raises:
      UserError: no such folder, no images, or a class that only another split has.
    """
    folder = pathlib.Path(path)
    layout = f"expected {folder}/CLASS/IMAGE, or {folder}/train/CLASS/IMAGE with {folder}/test/CLASS/IMAGE"
    if task == MULTI_LABEL:
        raise UserError("task=multi_label needs a table or an .npz file; a folder gives each image one class")
    splits = _splits(folder, layout)
    train = splits.get("train", folder)
    classes = [child.name for child in _folders(train)]
    images, texts, notes = _images(train, classes, layout)
    labels = LabelNames.of(texts, task or CLASSES, name=str(train)) if texts else None
    if labels is None:
        raise UserError(f"no images in {train}; {layout}, with files {', '.join(formats.SUFFIXES)}")

    def split(place: pathlib.Path) -> Split:
        images, texts, _ = _images(place, [child.name for child in _folders(place)], layout)
        if not images:
            raise UserError(f"no images in {place}; {layout}, with files {', '.join(formats.SUFFIXES)}")
        return Split(images, labels.encode(texts, name=str(place)))

    validation = next((splits[name] for name in _VALIDATION if name in splits), None)
    return Listing(
        name=folder.resolve().name,
        labels=labels,
        train=Split(images, labels.encode(texts, name=str(train))),
        validation=None if validation is None else split(validation),
        test=(lambda: split(splits["test"])) if "test" in splits else None,
        notes=notes,
    )


def _splits(folder: pathlib.Path, layout: str) -> dict[str, pathlib.Path]:
    """The folders of splits by their names; none if the folders are classes."""
    if not folder.is_dir():
        raise UserError(f"--config.dataset=folder: {layout}; there is no folder {folder}")
    named = {child.name: child for child in _folders(folder) if child.name in ("train", "test", *_VALIDATION)}
    if named and "train" not in named:
        raise UserError(f"{folder} has {', '.join(named)} but no train; {layout}")
    return named


def _folders(folder: pathlib.Path) -> list[pathlib.Path]:
    return sorted(child for child in folder.iterdir() if child.is_dir() and not child.name.startswith("."))


def _images(
    place: pathlib.Path, classes: list[str], layout: str
) -> tuple[list[pathlib.Path], list[str], tuple[str, ...]]:
    images, texts, ignored = [], [], collections.Counter()
    for name in classes:
        for file in sorted((place / name).iterdir()):
            if formats.is_image(file):
                images.append(file)
                texts.append(name)
            elif file.is_dir() and not file.name.startswith("."):
                raise UserError(
                    f"{file} is a folder in the place of an image; {layout}, or a table of files and labels"
                )
            elif not file.name.startswith("."):
                ignored[file.suffix or file.name] += 1
    if not ignored:
        return images, texts, ()
    kinds = ", ".join(f"{count} {suffix}" for suffix, count in np.array(ignored.most_common(4), object))
    return images, texts, (f"{sum(ignored.values())} files of {place} are no images by their names: {kinds}",)

"""A folder of images beside a folder of masks, optionally inside one folder for each split."""

import pathlib
from collections.abc import Sequence

from experiments.data import formats
from experiments.data._labels import LabelNames
from experiments.data._listing import Listing, Split
from experiments.data._masks import as_bytes, classes_of, encode_masks
from experiments.errors import UserError

_IMAGES, _MASKS = "images", "masks"
_SPLITS = {"train": ("train",), "validation": ("validation", "val", "valid"), "test": ("test",)}


def has_masks(path: str) -> bool:
    """Whether a folder has images and masks, or images alone where folders of classes would be."""
    place = _place(pathlib.Path(path), "train") or pathlib.Path(path)
    return (place / _IMAGES).is_dir() and (
        (place / _MASKS).is_dir() or sum(map(pathlib.Path.is_dir, place.iterdir())) == 1
    )


def list_masked_folder(path: str, known: LabelNames | None = None) -> Listing:
    """Lists `path/train/images/NAME` and `path/train/masks/NAME`, with validation and test, or just `path/images` and `masks`.

    An image and its mask have the same name up to the suffix.

    Args:
      path: the folder.
      known: classes that are known; by default those of the masks.

    Raises:
      UserError: no images, an image without a mask, a mask without an image, or values that are no classes.
    """
    folder = pathlib.Path(path)
    places = {split: _place(folder, split) for split in _SPLITS}
    pairs = {split: _pairs(place) for split, place in places.items() if place is not None}
    pairs.setdefault("train", _pairs(folder) if places["train"] is None else [])
    masks = {split: _read(pairs[split]) for split in ("train", "validation") if split in pairs}
    names = known or classes_of((mask for read in masks.values() for mask in read), name=path)

    def split(name: str) -> Split:
        read = masks[name] if name in masks else _read(pairs[name])
        return Split(
            [image for image, _ in pairs[name]],
            encode_masks(read, names.names, [str(mask) for _, mask in pairs[name]]),
        )

    return Listing(
        name=folder.resolve().name,
        labels=names,
        train=split("train"),
        validation=split("validation") if "validation" in pairs else None,
        test=(lambda: split("test")) if "test" in pairs else None,
    )


def _place(folder: pathlib.Path, split: str) -> pathlib.Path | None:
    return next((folder / name for name in _SPLITS[split] if (folder / name).is_dir()), None)


def _pairs(place: pathlib.Path) -> list[tuple[pathlib.Path, pathlib.Path]]:
    """The images of a folder in the order of their names, each with its mask."""
    images, masks = (_by_name(place / kind) for kind in (_IMAGES, _MASKS))
    for have, other, kind in ((images, masks, _MASKS), (masks, images, _IMAGES)):
        alone = [path for name, path in have.items() if name not in other]
        if alone:
            more = f" (nor have {len(alone) - 1} more)" if len(alone) > 1 else ""
            raise UserError(f"{alone[0]} has no file of the same name in {place / kind}{more}")
    if not images:
        raise UserError(f"no images in {place / _IMAGES}; expected files {', '.join(formats.SUFFIXES)}")
    return [(images[name], masks[name]) for name in sorted(images)]


def _by_name(folder: pathlib.Path) -> dict[str, pathlib.Path]:
    if not folder.is_dir():
        raise UserError(f"{folder.parent}: expected folders {_IMAGES} and {_MASKS}; there is no {folder}")
    found: dict[str, pathlib.Path] = {}
    for path in sorted(filter(formats.is_image, folder.iterdir())):
        name = formats.stem(path)
        if name in found:
            raise UserError(f"{folder} has {found[name].name} and {path.name}; expected one file of each name")
        found[name] = path
    return found


def _read(pairs: Sequence[tuple[pathlib.Path, pathlib.Path]]) -> list:
    return [as_bytes(formats.read_mask(mask), name=str(mask)) for _, mask in pairs]

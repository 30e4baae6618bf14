"""Masks: one class for each pixel, as indices of the classes of a data set."""

from collections.abc import Iterable, Sequence

import numpy as np

from experiments.data._labels import SEGMENTATION, LabelNames
from experiments.errors import UserError

_VALUES = 256
# Up to this number of classes, most of them may be missing.
_MOST_WITH_GAPS = 16


def as_bytes(values: np.ndarray, *, name: str) -> np.ndarray:
    """The values of a mask as uint8; true is 1.

    Raises:
      UserError: values that are no classes.
    """
    if values.dtype.kind not in "buif" or not (values == np.rint(values)).all():
        raise UserError(f"{name}: expected a mask of booleans or whole numbers; got {values.dtype} with other values")
    if values.size and not 0 <= values.min() <= values.max() < _VALUES:
        raise UserError(f"{name}: expected classes from 0 to 255; got {values.min()} .. {values.max()}")
    return values.astype(np.uint8)


def classes_of(masks: Iterable[np.ndarray], *, name: str) -> LabelNames:
    """The classes of masks: 0 .. the largest value, or 0 and 255 alone, as image editors save black and white.

    Args:
      masks: uint8, of the training and the validation split.
      name: what messages call them.

    Raises:
      UserError: no masks, or values with large gaps between them, such as grey levels.
    """
    counts = value_counts(masks)
    values = np.flatnonzero(counts)
    if not len(values):
        raise UserError(f"{name}: expected at least one mask; got none")
    count = int(values[-1]) + 1
    if count == _VALUES and set(values) <= {0, _VALUES - 1}:
        return LabelNames(("0", "255"), SEGMENTATION)
    if len(values) < count // (2 if count == _VALUES else 4) and count > _MOST_WITH_GAPS:
        raise UserError(
            f"{name}: expected classes 0, 1, 2, ... as values of the masks; got {', '.join(map(str, values[:20]))}; number the "
            "classes, and give pixels without a class, 255 in some data sets, one of the others"
        )
    return LabelNames(tuple(map(str, range(max(count, 2)))), SEGMENTATION)


def encode_mask(mask: np.ndarray, names: Sequence[str], *, name: str) -> np.ndarray:
    """The classes of a mask, uint8 indices of their names.

    Args:
      mask: uint8 values.
      names: of the classes: their values in the masks, or words for 0, 1, 2, ...
      name: what messages call the mask.

    Raises:
      UserError: a value that is no class.
    """
    table = np.full(_VALUES, -1)
    for index, word in enumerate(names):
        table[int(word) if word.isdecimal() else index] = index
    indices = table[mask]
    if (indices < 0).any():
        raise UserError(
            f"{name}: expected masks of the values {_some(np.flatnonzero(table >= 0))}, as in the training split; got "
            f"{_some(np.unique(mask[indices < 0]))} too"
        )
    return indices.astype(np.uint8)


def encode_masks(masks: Sequence[np.ndarray] | np.ndarray, names: Sequence[str], places: Sequence[str]) -> np.ndarray:
    """The classes of several masks, which may differ in size: an array of objects `[n]`; messages name their places."""
    result = np.empty(len(masks), object)
    for index, (mask, place) in enumerate(zip(masks, places, strict=True)):
        result[index] = encode_mask(mask, names, name=place)
    return result


def value_counts(masks: Iterable[np.ndarray]) -> np.ndarray:
    """The number of pixels of each value, `[256]`."""
    return np.sum([np.zeros(_VALUES, int), *(np.bincount(mask.ravel(), minlength=_VALUES) for mask in masks)], axis=0)


def _some(values: np.ndarray) -> str:
    words = [str(value) for value in values[:6]]
    return ", ".join([*words, *(["..."] if len(values) > len(words) else [])])

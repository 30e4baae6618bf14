"""Labels of files and tables, and the tasks that they define: classification (single-label, multi-label, ordinal), segmentation."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from experiments.errors import UserError

CLASSES, MULTI_LABEL, ORDINAL, SEGMENTATION = "classes", "multi_label", "ordinal", "segmentation"
TASKS = (CLASSES, MULTI_LABEL, ORDINAL, SEGMENTATION)
SEPARATOR = "|"


@dataclasses.dataclass(frozen=True)
class LabelNames:
    """The classes of a data set and how they exclude each other.

    Attributes:
      names: of the classes, in the order of the logits.
      task: "classes", one of them is true; "multi_label", any number is; "ordinal", classes in an order; "segmentation", one
        class for each pixel.
    """

    names: tuple[str, ...]
    task: str

    @classmethod
    def of(cls, values: Sequence[str], task: str, *, name: str) -> "LabelNames":
        """Collects the classes of a training split: numbers in their order, all else by the alphabet.

        Args:
          values: one text for each image; of a "multi_label" task, names separated by "|".
          task: one of `TASKS`.
          name: what messages call the data set.

        Raises:
          UserError: fewer than two classes, or grades that are no numbers.
        """
        words = {word for value in values for word in _words(value, task)}
        if task == ORDINAL and not all(_is_number(word) for word in words):
            odd = sorted(word for word in words if not _is_number(word))
            raise UserError(f"{name}: grades of an ordinal task are numbers; got {', '.join(odd[:3])}")
        ordered = sorted(words, key=float) if all(map(_is_number, words)) else sorted(words)
        if len(ordered) < (1 if task == MULTI_LABEL else 2):
            raise UserError(f"{name}: expected at least two classes; got {', '.join(ordered) or 'none'}")
        return cls(tuple(ordered), task)

    def encode(self, values: Sequence[str], *, name: str) -> np.ndarray:
        """The labels as numbers: `[n]`, or 0 and 1 in `[n, classes]` for a "multi_label" task.

        Raises:
          UserError: a class that the training split does not have.
        """
        words = [_words(value, self.task) for value in values]
        unknown = sorted({word for row in words for word in row} - set(self.names))
        if unknown:
            raise UserError(f"{name} has classes that the training split has not: {', '.join(unknown[:5])}")
        places = {word: place for place, word in enumerate(self.names)}
        if self.task != MULTI_LABEL:
            return np.asarray([places[row[0]] for row in words], np.int32)
        encoded = np.zeros((len(words), len(self.names)), np.int32)
        for row, of_image in enumerate(words):
            encoded[row, [places[word] for word in of_image]] = 1
        return encoded


def check_arrays(labels: np.ndarray, task: str | None, *, name: str) -> tuple[np.ndarray, str]:
    """Labels of an array file, and the task that they make.

    Args:
      labels: whole numbers `[n]` or `[n, 1]`, or 0 and 1 `[n, classes]`. Rows with exactly one 1 everywhere are classes.
      task: what is known of the task, or None.
      name: what messages call them.

    Returns:
      `[n]` or `[n, classes]`, int32, and one of `TASKS`.

    Raises:
      UserError: other shapes, or values that are no labels.
    """
    if labels.ndim not in (1, 2):
        raise UserError(f"{name}: expected labels [n], [n, 1] or [n, classes]; got {list(labels.shape)}")
    if labels.dtype.kind not in "buif" or (labels.size and not (labels == np.rint(labels)).all()):
        raise UserError(f"{name}: expected whole numbers as labels; got {labels.dtype}")
    labels = labels.astype(np.int32)
    if labels.ndim == 1 or labels.shape[1] == 1:
        return labels.reshape(-1), task or CLASSES
    if labels.size and not set(np.unique(labels)) <= {0, 1}:
        raise UserError(f"{name}: labels of several columns are 0 or 1; got {labels.min()} .. {labels.max()}")
    if task != MULTI_LABEL and (labels.sum(axis=1) == 1).all():
        return labels.argmax(axis=1).astype(np.int32), task or CLASSES
    return labels, MULTI_LABEL


def _words(value: str, task: str) -> list[str]:
    return [word.strip() for word in value.split(SEPARATOR) if word.strip()] if task == MULTI_LABEL else [value.strip()]


def _is_number(word: str) -> bool:
    try:
        return np.isfinite(float(word)).item()
    except ValueError:
        return False

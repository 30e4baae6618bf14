"""The listing of a layout: the images of each split and their labels, before any image is read."""

import dataclasses
import pathlib
from collections.abc import Callable, Sequence

import numpy as np

from experiments.data._labels import LabelNames
from experiments.data._splits import default_number, hold_out


@dataclasses.dataclass(frozen=True)
class Split:
    """Labelled images.

    Attributes:
      images: their files, or an array `[n, *spatial, channels]`.
      labels: `[n]`, or `[n, classes]` of 0 and 1; for a segmentation `[n]` masks as objects, uint8 class indices.
      groups: `[n]`, such as patients, that are never divided; None where each image is its own.
    """

    images: Sequence[pathlib.Path] | np.ndarray
    labels: np.ndarray
    groups: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def select(self, indices: np.ndarray) -> "Split":
        """Some of the images."""
        images = self.images[indices] if isinstance(self.images, np.ndarray) else [self.images[i] for i in indices]
        return Split(images, self.labels[indices], None if self.groups is None else self.groups[indices])


@dataclasses.dataclass(frozen=True)
class Listing:
    """A data set before its images are read.

    Attributes:
      name: what messages call it.
      labels: its classes.
      train: the training split.
      validation: its own validation split, if it has one.
      test: lists its own test split, if it has one.
      notes: what the user should know.
    """

    name: str
    labels: LabelNames
    train: Split
    validation: Split | None = None
    test: Callable[[], Split] | None = None
    notes: tuple[str, ...] = ()

    def completed(self, num_validation: int, *, seed: int) -> tuple[Split, Split, Callable[[], Split], tuple[str, ...]]:
        """Train, validation and test; a split that the data set does not have is held out of the training images.

        Args:
          num_validation: images of a validation split that is held out (0: an eighth).
          seed: of the draw.

        Returns:
          The three splits, and what the user should know.

        Raises:
          UserError: too few images.
        """
        train, validation, test, notes = self.train, self.validation, self.test, self.notes
        if test is None:
            kept, held = hold_out(train.labels, train.groups, default_number(len(train)), seed=seed, name=self.name)
            tested = train.select(held)
            train, test = train.select(kept), lambda: tested
            notes = (*notes, f"no test split: {len(held):,} of {len(kept) + len(held):,} images are held out as one")
        if validation is None:
            kept, held = hold_out(train.labels, train.groups, num_validation, seed=seed, name=self.name)
            train, validation = train.select(kept), train.select(held)
        return train, validation, test, notes

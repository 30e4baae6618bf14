"""Sources of examples: they have a length, and fetch a batch of examples by index."""

import dataclasses
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np

from experiments.errors import UserError

Batch = dict[str, np.ndarray]


class Source(Protocol):
    """A finite set of labelled images of one shape."""

    def __len__(self) -> int:
        """The number of examples."""
        ...

    def fetch(self, indices: np.ndarray) -> Batch:
        """Returns `image` [n, rows, columns, channels] (uint8, or floats in [0, 1]) and `label` [n] (int32)."""
        ...


class ArraySource:
    """Images and labels held in memory.

    Args:
      images: `[n, rows, columns, channels]`, uint8 or float32 in [0, 1].
      labels: `[n]` integers.
      name: name in messages.

    Raises:
      UserError: shapes that do not match, or no examples.
    """

    def __init__(self, images: np.ndarray, labels: np.ndarray, *, name: str = "data"):
        if images.ndim != 4 or labels.shape != images.shape[:1]:
            raise UserError(
                f"{name}: expected images [n, rows, columns, channels] and labels [n]; "
                f"got images {list(images.shape)} and labels {list(labels.shape)}"
            )
        if len(images) == 0:
            raise UserError(f"{name}: expected at least one example; got none: the split is empty")
        self.images = images
        self.labels = labels.astype(np.int32)

    def __len__(self) -> int:
        return len(self.images)

    def fetch(self, indices: np.ndarray) -> Batch:
        """Gathers the rows of `indices`."""
        return {"image": self.images[indices], "label": self.labels[indices]}


class Records(Protocol):
    """A sequence of labelled images."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Any: ...


class RecordSource:
    """Examples read one by one from a sequence of records, as `tfds.data_source` gives them.

    Args:
      records: `records[i]` is a mapping with `image` and `label`; `__getitems__` is used if it exists.
    """

    def __init__(self, records: Records):
        self.records = records

    def __len__(self) -> int:
        return len(self.records)

    def fetch(self, indices: np.ndarray) -> Batch:
        """Reads the records of `indices` and stacks them."""
        chosen = [int(index) for index in indices]
        read_many = getattr(self.records, "__getitems__", None)
        records = read_many(chosen) if read_many else [self.records[index] for index in chosen]
        return {
            "image": np.stack([np.asarray(record["image"]) for record in records]),
            "label": np.asarray([record["label"] for record in records], np.int32),
        }


class Subset:
    """Some examples of another source, in the given order."""

    def __init__(self, source: Source, indices: np.ndarray):
        self.source = source
        self.indices = np.asarray(indices)

    def __len__(self) -> int:
        return len(self.indices)

    def fetch(self, indices: np.ndarray) -> Batch:
        """Fetches through the index table."""
        return self.source.fetch(self.indices[indices])


class Downscaled:
    """The images of another source, averaged over squares of pixels.

    Args:
      source: images whose sides are multiples of `factor`, so that rotations and flips map squares to squares.
      factor: side of a square.
      name: name in messages.

    Raises:
      UserError: the factor does not divide the sides.
    """

    def __init__(self, source: Source, factor: int, *, name: str = "data"):
        rows, columns, _ = source.fetch(np.arange(1))["image"].shape[1:]
        if rows % factor or columns % factor:
            raise UserError(
                f"{name}: downscale: expected a divisor of both sides, {rows} and {columns}; got {factor}, which would break "
                "the symmetry of the images"
            )
        self.source = source
        self.factor = factor

    def __len__(self) -> int:
        return len(self.source)

    def fetch(self, indices: np.ndarray) -> Batch:
        """Averages what the source fetches, as floats in [0, 1]."""
        batch = self.source.fetch(indices)
        n, rows, columns, channels = batch["image"].shape
        squares = batch["image"].reshape(
            n, rows // self.factor, self.factor, columns // self.factor, self.factor, channels
        )
        scale = np.float32(255 if squares.dtype == np.uint8 else 1)
        return {**batch, "image": squares.mean((2, 4), dtype=np.float32) / scale}


@dataclasses.dataclass(frozen=True)
class Dataset:
    """The three splits. The test split is a function: nothing reads it before training ends."""

    name: str
    train: Source
    validation: Source
    test: Callable[[], Source]
    num_classes: int

    @property
    def image_shape(self) -> tuple[int, ...]:
        """Rows, columns and channels of one image."""
        return self.train.fetch(np.arange(1))["image"].shape[1:]


def split_validation(source: Source, num_validation: int, *, seed: int, name: str) -> tuple[Source, Source]:
    """Holds out `num_validation` examples at random.

    Raises:
      UserError: no examples left for training, or none for validation.
    """
    if not 0 < num_validation < len(source):
        raise UserError(
            f"num_validation: expected 1 to {len(source) - 1}, as {name} has {len(source)} training examples; "
            f"got {num_validation}"
        )
    order = np.random.default_rng(seed).permutation(len(source))
    return Subset(source, order[num_validation:]), Subset(source, order[:num_validation])


def take(source: Source, number: int, *, name: str) -> Source:
    """The first `number` examples, or all of them for 0."""
    if number > len(source):
        raise UserError(f"{name}: expected at most {len(source)} examples; got a request for {number}")
    return Subset(source, np.arange(number)) if number else source


def check_labels(labels: np.ndarray, num_classes: int, *, name: str) -> None:
    """Raises UserError for a label outside 0 .. num_classes - 1."""
    if labels.size and (labels.min() < 0 or labels.max() >= num_classes):
        raise UserError(
            f"{name}: expected labels in 0 .. {num_classes - 1}; got {labels.min()} .. {labels.max()}; "
            "check the label file, or choose a network with more classes"
        )

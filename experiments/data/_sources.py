"""Sources of examples: they have a length, and fetch a batch of examples by index."""

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from experiments.data._labels import CLASSES, LabelNames
from experiments.data._preprocessing import Preprocessing, block_means
from experiments.data._resize import resize
from experiments.data._splits import default_number
from experiments.errors import UserError

if TYPE_CHECKING:
    from experiments.data._file_pixels import FilePixels, Joined

Batch = dict[str, np.ndarray]


class Source(Protocol):
    """A finite set of labelled images of one shape."""

    def __len__(self) -> int:
        """The number of examples."""
        ...

    def fetch(self, indices: np.ndarray) -> Batch:
        """Returns `image` [n, *sizes, channels] (uint8, or floats in [0, 1]) and `label` [n] (int32)."""
        ...


class ArraySource:
    """Images and labels held in memory.

    Args:
      images: `[n, *spatial, channels]`, uint8 or float32 in [0, 1].
      labels: `[n]` integers.
      name: name in messages.

    Raises:
      UserError: shapes that do not match, or no examples.
    """

    def __init__(self, images: np.ndarray, labels: np.ndarray, *, name: str = "data"):
        if images.ndim not in (4, 5) or labels.shape != images.shape[:1]:
            raise UserError(
                f"{name}: expected images [n, *sizes, channels] of two or three sizes and labels [n]; "
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


class PixelSource:
    """Images in their files' own type, and what makes them the network's input.

    Args:
      pixels: indices to `[n, *sizes, channels]`: an array, or files that are read when they are asked for.
      labels: `[n]`, or `[n, classes]` of 0 and 1.
      preprocessing: of the data set.
    """

    def __init__(self, pixels: "np.ndarray | FilePixels | Joined", labels: np.ndarray, preprocessing: Preprocessing):
        self.pixels = pixels
        self.labels = labels.astype(np.int32)
        self.preprocessing = preprocessing

    def __len__(self) -> int:
        return len(self.labels)

    def fetch(self, indices: np.ndarray) -> Batch:
        """Reads the images of `indices`."""
        images = self.preprocessing.to_unit_range(self.pixels[indices])
        return {"image": images, "label": self.labels[indices]}


class Records(Protocol):
    """A sequence of labelled images."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Any: ...


class RecordSource:
    """Examples read one by one from a sequence of records, as `tfds.data_source` gives them.

    Args:
      records: `records[i]` is a mapping with `image` and `label`; `__getitems__` is used where there is one.
      fit: gives each image the sizes of the data set.
    """

    def __init__(self, records: Records, fit: Callable[[np.ndarray], np.ndarray] = np.asarray):
        self.records = records
        self.fit = fit

    def __len__(self) -> int:
        return len(self.records)

    def fetch(self, indices: np.ndarray) -> Batch:
        """Reads the records of `indices` and stacks them."""
        chosen = [int(index) for index in indices]
        read_many = getattr(self.records, "__getitems__", None)
        records = read_many(chosen) if read_many else [self.records[index] for index in chosen]
        return {
            "image": np.stack([self.fit(np.asarray(record["image"])) for record in records]),
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
        check_divisible(source.fetch(np.arange(1))["image"].shape[1:-1], factor, name=name)
        self.source = source
        self.factor = factor

    def __len__(self) -> int:
        return len(self.source)

    def fetch(self, indices: np.ndarray) -> Batch:
        """Averages what the source fetches, as floats in [0, 1]."""
        batch = self.source.fetch(indices)
        scale = np.float32(255 if batch["image"].dtype == np.uint8 else 1)
        return {**batch, "image": block_means(batch["image"], self.factor) / scale}


def check_divisible(sizes: tuple[int, ...], factor: int, *, name: str) -> None:
    """Raises UserError for sides that a factor does not divide."""
    if any(size % factor for size in sizes):
        raise UserError(
            f"{name}: downscale: expected a divisor of every side, {' and '.join(map(str, sizes))}; got {factor}, which would "
            "break the symmetry of the images"
        )


class Resized:
    """The images of another source in other sizes.

    Args:
      source: images of one shape.
      sizes: of their spatial axes.
      mode: "resize", "pad" or "crop".
    """

    def __init__(self, source: Source, sizes: tuple[int, ...], mode: str):
        self.source, self.sizes, self.mode = source, sizes, mode

    def __len__(self) -> int:
        return len(self.source)

    def fetch(self, indices: np.ndarray) -> Batch:
        """Resizes what the source fetches."""
        batch = self.source.fetch(indices)
        return {**batch, "image": np.stack([resize(image, self.sizes, mode=self.mode) for image in batch["image"]])}


@dataclasses.dataclass(frozen=True)
class Dataset:
    """Three splits. The test split is a function, so that nothing reads it before the end.

    Attributes:
      name: what messages call it.
      train: the training split.
      validation: the validation split.
      test: opens the test split.
      num_classes: classes, or labels of a task with several.
      labels: their names and the task; None where classes are numbers only.
      preprocessing: how an image of the data set is read; None until it is measured.
      notes: what the user should know.
    """

    name: str
    train: Source
    validation: Source
    test: Callable[[], Source]
    num_classes: int
    labels: LabelNames | None = None
    preprocessing: Preprocessing | None = None
    notes: tuple[str, ...] = ()

    @property
    def label_names(self) -> LabelNames:
        """The classes and the task; numbers for names if nothing else is known."""
        return self.labels or LabelNames(tuple(map(str, range(self.num_classes))), CLASSES)

    @property
    def num_train(self) -> int:
        """The number of training images; an epoch may read tiles of them."""
        return getattr(self.train, "num_images", len(self.train))

    @property
    def image_shape(self) -> tuple[int, ...]:
        """The spatial sizes and the channels of one image."""
        return self.train.fetch(np.arange(1))["image"].shape[1:]


def labels_of(source: Source) -> np.ndarray:
    """All labels of a source, without its images where it knows them."""
    labels = getattr(source, "labels", None)
    if labels is not None:
        return labels
    inner = getattr(source, "source", None)
    if inner is None:
        return np.concatenate([source.fetch(part)["label"] for part in _chunks(len(source))])
    return labels_of(inner)[source.indices] if isinstance(source, Subset) else labels_of(inner)


def _chunks(total: int) -> list[np.ndarray]:
    return [np.arange(start, min(start + 1024, total)) for start in range(0, total, 1024)]


def split_validation(source: Source, num_validation: int, *, seed: int, name: str) -> tuple[Source, Source]:
    """Holds out `num_validation` examples (0: an eighth), drawn by `seed`.

    Raises:
      UserError: no examples left for training, or none for validation.
    """
    num_validation = num_validation or default_number(len(source))
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

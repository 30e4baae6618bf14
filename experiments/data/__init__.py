"""Labelled images, split into train, validation and test, as deterministic batches from which a run can resume."""

import dataclasses
from collections.abc import Callable, Mapping

from experiments.data._batches import evaluation_batches as evaluation_batches
from experiments.data._batches import index_batches as index_batches
from experiments.data._batches import training_batches as training_batches
from experiments.data._digits import load_digits as load_digits
from experiments.data._files import load_folder as load_folder
from experiments.data._files import load_npz as load_npz
from experiments.data._generated import load_generated as load_generated
from experiments.data._rotation import rotate_images as rotate_images
from experiments.data._rotmnist import load_rotmnist as load_rotmnist
from experiments.data._sources import ArraySource as ArraySource
from experiments.data._sources import Batch as Batch
from experiments.data._sources import Dataset as Dataset
from experiments.data._sources import Downscaled as Downscaled
from experiments.data._sources import Source as Source
from experiments.data._sources import Subset as Subset
from experiments.data._sources import take as take
from experiments.data._tfds import load_tfds as load_tfds
from experiments.data._transforms import AUGMENTATIONS as AUGMENTATIONS
from experiments.data._transforms import NORMALIZATIONS as NORMALIZATIONS
from experiments.data._transforms import as_unit_range as as_unit_range
from experiments.data._transforms import augment as augment
from experiments.errors import UserError, check_choice

# name -> function of (directory, num_validation=, seed=)
DATASETS: Mapping[str, Callable[..., Dataset]] = {
    "digits": lambda directory, **split: load_digits(**split),
    "rotmnist": load_rotmnist,
    "cifar10": lambda directory, **split: load_tfds("cifar10", directory, **split),
    "pcam": lambda directory, **split: load_tfds("patch_camelyon", directory, **split),
    "npz": load_npz,
    "folder": load_folder,
}
GENERATED = "generated"


@dataclasses.dataclass(frozen=True)
class Split:
    """Sizes of the splits.

    Attributes:
      num_validation: number of training images held out.
      num_train: number of the others to use (0: all).
      num_test: number of test images to use (0: all).
      seed: seed of the validation split.
    """

    num_validation: int
    num_train: int = 0
    num_test: int = 0
    seed: int = 0


def load_dataset(
    name: str, directory: str, split: Split, *, image_shape: tuple[int, ...], num_classes: int, downscale: int = 1
) -> Dataset:
    """Loads a data set for a network.

    Args:
      name: a key of `DATASETS`, or `GENERATED`.
      directory: directory of the data.
      split: sizes of the splits.
      image_shape: rows, columns and channels that the network expects.
      num_classes: number of classes of the network.
      downscale: side of the squares of pixels to average (1: off).

    Raises:
      UserError: an unknown name, data that is missing or damaged, or data that does not fit the network.
    """
    check_choice("dataset", name, [*DATASETS, GENERATED])
    held_out = {"num_validation": split.num_validation, "seed": split.seed}
    if name == GENERATED:
        dataset = load_generated(image_shape, num_classes, size=split.num_train + split.num_validation, **held_out)
    else:
        dataset = DATASETS[name](directory, **held_out)
    if downscale > 1:
        dataset = _downscaled(dataset, downscale)
    _check_fits(dataset, tuple(image_shape), num_classes)
    return dataclasses.replace(
        dataset,
        train=take(dataset.train, split.num_train, name=f"{dataset.name}, train"),
        test=lambda: take(dataset.test(), split.num_test, name=f"{dataset.name}, test"),
    )


def _check_fits(dataset: Dataset, image_shape: tuple[int, ...], num_classes: int) -> None:
    if dataset.image_shape != image_shape:
        raise UserError(
            f"{dataset.name}: expected images of {list(image_shape)} (rows, columns, channels), the size of the network; "
            f"got {list(dataset.image_shape)}; --config.model_overrides.input_shape builds it for another size"
        )
    if dataset.num_classes > num_classes:
        raise UserError(
            f"{dataset.name}: expected at most {num_classes} classes, those of the network; got {dataset.num_classes}; "
            "--config.model_overrides.num_classes builds it for more"
        )


def _downscaled(dataset: Dataset, factor: int) -> Dataset:
    def smaller(source: Source) -> Source:
        return Downscaled(source, factor, name=dataset.name)

    return dataclasses.replace(
        dataset,
        name=f"{dataset.name}, downscaled {factor}x",
        train=smaller(dataset.train),
        validation=smaller(dataset.validation),
        test=lambda: smaller(dataset.test()),
    )

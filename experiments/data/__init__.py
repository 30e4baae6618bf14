"""Labelled images, split into train, validation and test, as deterministic and resumable batches."""

import dataclasses
import difflib
from collections.abc import Callable, Mapping

from experiments.config import Config
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
from experiments.errors import UserError

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


def load_dataset(config: Config, *, image_shape: tuple[int, ...], num_classes: int) -> Dataset:
    """Loads the data set that a configuration names.

    Args:
      config: its fields dataset, data_dir, data_seed, downscale, num_train, num_validation and num_test.
      image_shape: rows, columns and channels that the network expects.
      num_classes: classes that the network tells apart.

    Raises:
      UserError: an unknown name, data that is not there, or data that does not fit the network.
    """
    split = {"num_validation": config.num_validation, "seed": config.data_seed}
    if config.dataset == GENERATED:
        dataset = load_generated(image_shape, num_classes, size=config.num_train + config.num_validation, **split)
    elif config.dataset in DATASETS:
        dataset = DATASETS[config.dataset](config.data_dir, **split)
    else:
        near = difflib.get_close_matches(config.dataset, DATASETS, n=1)
        hint = f" (did you mean {near[0]}?)" if near else ""
        raise UserError(f"no data set {config.dataset!r}{hint}; expected one of {', '.join([*DATASETS, GENERATED])}")
    if config.downscale > 1:
        dataset = _downscaled(dataset, config.downscale)
    if dataset.image_shape != tuple(image_shape):
        raise UserError(
            f"images of {dataset.name} are {list(dataset.image_shape)}, {config.model} expects {list(image_shape)} "
            "(rows, columns, channels); --config.model_overrides.input_shape builds it for another size"
        )
    if dataset.num_classes > num_classes:
        raise UserError(f"{dataset.name} has {dataset.num_classes} classes, {config.model} tells {num_classes} apart")
    return Dataset(
        dataset.name,
        take(dataset.train, config.num_train, name=f"{dataset.name}, train"),
        dataset.validation,
        lambda: take(dataset.test(), config.num_test, name=f"{dataset.name}, test"),
        dataset.num_classes,
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

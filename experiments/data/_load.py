"""Loads the data set of a configuration, in any of the layouts."""

import dataclasses
import difflib
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from experiments.config import Config
from experiments.data import layouts
from experiments.data._build import ReadingOptions, build_dataset
from experiments.data._build_masked import build_masked
from experiments.data._digits import load_digits
from experiments.data._generated import list_generated_masks, load_generated
from experiments.data._labels import SEGMENTATION
from experiments.data._listing import Listing
from experiments.data._normalization import MEASURED
from experiments.data._preprocessing import Preprocessing
from experiments.data._rotmnist import load_rotmnist
from experiments.data._sources import ArraySource, Dataset, Downscaled, Resized, Source, take
from experiments.data._statistics import SAMPLE, measure
from experiments.data._tfds import load_tfds
from experiments.data.layouts import MEDMNIST, list_folder, list_medmnist, list_npz, list_table
from experiments.errors import UserError

# Layouts of a user's own images: name -> function of (path, task).
LAYOUTS: Mapping[str, Callable[..., Listing]] = {"folder": list_folder, "npz": list_npz, "table": list_table}
# Layouts with masks: name -> function of a path, and whether there are masks at a path.
_MASKED: Mapping[str, tuple[Callable[[str], Listing], Callable[[str], bool]]] = {
    "folder": (layouts.list_masked_folder, layouts.has_masks),
    "npz": (layouts.list_masked_npz, layouts.holds_masks),
    "membranes": (layouts.list_membranes, lambda path: True),
}
# Published sets: name -> function of (directory, num_validation=, seed=).
_PUBLISHED: Mapping[str, Callable[..., Dataset]] = {
    "digits": lambda directory, **split: load_digits(**split),
    "rotmnist": load_rotmnist,
}
_TFDS = {"cifar10": "cifar10", "pcam": "patch_camelyon"}
# As far as a name has no part of its own, like that of medmnist:NAME and tfds:NAME.
DATASETS = tuple(dict.fromkeys((*_PUBLISHED, *_TFDS, *LAYOUTS, *_MASKED)))
GENERATED = "generated"
_GENERATED_VALIDATION = 64
_PREFIXES = ("medmnist:", "tfds:")

# Why a network cannot read images of this shape and tell so many classes apart, or None where it can.
NetworkFits = Callable[[tuple[int, ...], int], str | None]


def load_dataset(
    config: Config,
    *,
    network: NetworkFits = lambda image_shape, num_classes: None,
    image_shape: tuple[int, ...] = (8, 8, 1),
    num_classes: int = 10,
    masks: bool = False,
) -> Dataset:
    """Loads the data set that a configuration names.

    Args:
      config: its fields dataset, data_dir, data_seed, task, image_size, resize_mode, downscale, tile_size,
        tiles_per_epoch, normalization, num_train, num_validation and num_test.
      network: why the configured network cannot read images of a shape, or None where it can.
      image_shape: of generated images.
      num_classes: of generated images.
      masks: whether the images have masks, see `has_masks`.

    Raises:
      UserError: an unknown name, data that is not there, or data that does not fit the network.
    """
    check_dataset_name(config.dataset)
    listing = _masked_listing(config, image_shape, num_classes) if masks else _listing(config)
    if listing is not None and listing.labels.task == SEGMENTATION:
        dataset = build_masked(listing, _options(config, lambda shape: None))
    elif listing is not None:
        dataset = build_dataset(listing, _options(config, lambda shape: network(shape, len(listing.labels.names))))
    else:
        dataset = _described(_load_published(config, image_shape, num_classes), config)
    refusal = network(dataset.image_shape, dataset.num_classes)
    if refusal is not None:
        raise UserError(f"{dataset.name}, images of {list(dataset.image_shape)}: {refusal}")
    if masks:
        return dataset
    test = dataset.test
    return dataclasses.replace(
        dataset,
        train=take(dataset.train, config.num_train, name=f"{dataset.name}, train"),
        test=lambda: take(test(), config.num_test, name=f"{dataset.name}, test"),
    )


def load_folder(path: str, **options: Any) -> Dataset:
    """Reads a folder of class folders; see `layouts.list_folder`, and `ReadingOptions` for the options."""
    return build_dataset(list_folder(path), ReadingOptions(**options))


def load_table(path: str, task: str | None = None, **options: Any) -> Dataset:
    """Reads the images of a table; see `layouts.list_table`, and `ReadingOptions` for the options."""
    return build_dataset(list_table(path, task), ReadingOptions(**options))


def load_npz(path: str, **options: Any) -> Dataset:
    """Reads one file of arrays; see `layouts.list_npz`, and `ReadingOptions` for the options."""
    return build_dataset(list_npz(path), ReadingOptions(**options))


def load_medmnist(name: str, directory: str, **options: Any) -> Dataset:
    """Reads a set of MedMNIST; see `layouts.list_medmnist`, and `ReadingOptions` for the options."""
    return build_dataset(list_medmnist(name, directory), ReadingOptions(**options))


def has_masks(dataset: str, path: str) -> bool:
    """Whether the images of a data set have masks: the names of its folders or arrays say so.

    Args:
      dataset: its name or layout.
      path: where it is.
    """
    return dataset in _MASKED and _MASKED[dataset][1](path)


def check_dataset_name(name: str) -> None:
    """Raises UserError for a name that no data set has."""
    prefix, _, part = name.partition(":")
    if (f"{prefix}:" in _PREFIXES and part) or name in (*DATASETS, GENERATED):
        if prefix == "medmnist" and part not in MEDMNIST:
            list_medmnist(part, "")
        return
    known = [*DATASETS, GENERATED, *(f"medmnist:{each}" for each in MEDMNIST)]
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    names = f"{', '.join([*DATASETS, GENERATED])}, medmnist:NAME or tfds:NAME"
    hint = f"did you mean {' or '.join(near)}?" if near else f"expected one of {names}"
    raise UserError(f"dataset={name!r} is not known; {hint}")


def _listing(config: Config) -> Listing | None:
    task = None if config.task == "auto" else config.task
    if config.dataset in LAYOUTS:
        return LAYOUTS[config.dataset](config.data_dir, task)
    if config.dataset.startswith("medmnist:"):
        return list_medmnist(config.dataset.partition(":")[2], config.data_dir)
    return None


def _masked_listing(config: Config, image_shape: tuple[int, ...], num_classes: int) -> Listing:
    if config.dataset == GENERATED:
        held_out = config.num_validation or _GENERATED_VALIDATION
        counts = (config.num_train or 3 * held_out, held_out, config.num_test or held_out)
        return list_generated_masks(image_shape, num_classes, counts=counts, seed=config.data_seed)
    return _MASKED[config.dataset][0](config.data_dir)


def _options(config: Config, fits: Callable[[tuple[int, ...]], str | None]) -> ReadingOptions:
    return ReadingOptions(
        image_size=tuple(config.image_size),
        resize_mode=config.resize_mode,
        downscale=config.downscale,
        num_validation=config.num_validation,
        num_train=config.num_train,
        num_test=config.num_test,
        tile_size=tuple(config.tile_size),
        tiles_per_epoch=config.tiles_per_epoch,
        seed=config.data_seed,
        fits=fits,
    )


def _load_published(config: Config, image_shape: tuple[int, ...], num_classes: int) -> Dataset:
    split = {"num_validation": config.num_validation, "seed": config.data_seed}
    sizes = {"image_size": tuple(config.image_size), "resize_mode": config.resize_mode}
    if config.dataset == GENERATED:
        held_out = config.num_validation or _GENERATED_VALIDATION
        size = config.num_train + held_out if config.num_train else 0
        split["num_validation"] = held_out
        return load_generated(image_shape, num_classes, size=size, **split)
    if config.dataset in _TFDS or config.dataset.startswith("tfds:"):
        name = _TFDS.get(config.dataset) or config.dataset.removeprefix("tfds:")
        return load_tfds(name, config.data_dir, **split, **sizes)
    dataset = _PUBLISHED[config.dataset](config.data_dir, **split)
    if config.image_size:
        dataset = _with_sources(dataset, lambda source: Resized(source, sizes["image_size"], config.resize_mode))
    return dataset


def _described(dataset: Dataset, config: Config) -> Dataset:
    """Downscales a published set, and describes how its images are read."""
    *sizes, channels = dataset.image_shape
    images = dataset.train.fetch(np.arange(1))["image"]
    whole = (0.0, 255.0) if images.dtype == np.uint8 else (0.0, 1.0)
    preprocessing = Preprocessing(
        tuple(sizes), channels, config.resize_mode, str(images.dtype), whole, downscale=config.downscale
    )
    if config.downscale > 1:
        dataset = _with_sources(dataset, lambda source: Downscaled(source, config.downscale, name=dataset.name))
        dataset = dataclasses.replace(dataset, name=f"{dataset.name}, downscaled {config.downscale}x")
    if config.normalization == MEASURED:
        total = len(dataset.train)
        number = total if isinstance(dataset.train, ArraySource) else min(total, SAMPLE)
        chosen = np.sort(np.random.default_rng(config.data_seed).permutation(total)[:number])
        statistics = measure(lambda indices: dataset.train.fetch(indices)["image"], chosen)
        low, high = whole if config.downscale == 1 else (0.0, 1.0)
        mean, deviation = statistics.in_range(low, high)
        preprocessing = dataclasses.replace(preprocessing, mean=mean, deviation=deviation)
    return dataclasses.replace(dataset, labels=dataset.label_names, preprocessing=preprocessing)


def _with_sources(dataset: Dataset, change: Callable[[Source], Source]) -> Dataset:
    return dataclasses.replace(
        dataset,
        train=change(dataset.train),
        validation=change(dataset.validation),
        test=lambda: change(dataset.test()),
    )

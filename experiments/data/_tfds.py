"""Data sets prepared with TensorFlow Datasets, read by random access without TensorFlow."""

import pathlib
from typing import Any

import numpy as np

from experiments.data._labels import CLASSES, LabelNames
from experiments.data._resize import resize
from experiments.data._sources import Dataset, RecordSource, Source, split_validation
from experiments.errors import UserError


def load_tfds(
    name: str,
    directory: str,
    *,
    num_validation: int,
    seed: int,
    image_size: tuple[int, ...] = (),
    resize_mode: str = "pad",
) -> Dataset:
    """Opens a prepared set. Where it has no validation split of its own, `num_validation` examples are held out.

    Args:
      name: of a set whose examples have `image` and `label`.
      directory: TFDS's data directory.
      num_validation: examples held out of training, where needed (0: an eighth).
      seed: of that split.
      image_size: sizes that every image is given; () leaves them as they are.
      resize_mode: "resize", "pad" or "crop".

    Raises:
      UserError: the set is not prepared in the directory, or its examples are not labelled images.
    """
    splits, features = open_splits(name, directory)
    names = getattr(features["label"], "names", None) if "label" in features else None
    if names is None or "image" not in features or not {"train", "test"} <= set(splits):
        raise UserError(f"{name}: expected splits train and test of examples with image and label; got {list(splits)}")

    def fit(image: np.ndarray) -> np.ndarray:
        return resize(image, image_size, mode=resize_mode) if image_size else image

    if "validation" in splits:
        train, validation = (RecordSource(splits[split], fit) for split in ("train", "validation"))
    else:
        whole: Source = RecordSource(splits["train"], fit)
        train, validation = split_validation(whole, num_validation, seed=seed, name=name)
    labels = LabelNames(tuple(names), CLASSES)
    return Dataset(name, train, validation, lambda: RecordSource(splits["test"], fit), len(names), labels=labels)


def open_splits(name: str, directory: str) -> tuple[dict[str, Any], Any]:
    """Opens all splits of a prepared set by name, and describes the features of its examples.

    Raises:
      UserError: it is not prepared in `directory`; the message has the command that prepares it.
    """
    parts = pathlib.PurePath(name).parts
    if not parts or ".." in parts or pathlib.PurePath(name).is_absolute():
        raise UserError(f"--config.dataset=tfds:NAME: expected the name of a set, such as mnist; got {name!r}")
    command = f"python -m experiments.data.prepare {name} --data_dir {directory}"
    if not (pathlib.Path(directory) / name).is_dir():
        raise UserError(
            f"expected {name} in {directory!r}; got no such folder; prepare it: {command} (needs the extra [data])"
        )
    import tensorflow_datasets as tfds

    try:
        builder = tfds.builder_from_directory(_latest(pathlib.Path(directory) / name))
        splits: Any = builder.as_data_source()
        return splits, builder.info.features
    except Exception as error:
        raise UserError(f"{name} in {directory!r} cannot be read ({error}); prepare it again: {command}") from error


def read_arrays(name: str, split: str, directory: str) -> tuple[np.ndarray, np.ndarray]:
    """Reads a whole split into memory."""
    source = RecordSource(open_splits(name, directory)[0][split])
    batch = source.fetch(np.arange(len(source)))
    return batch["image"], batch["label"]


def _latest(path: pathlib.Path) -> pathlib.Path:
    found = sorted(file.parent for file in path.rglob("dataset_info.json"))
    if not found:
        raise UserError(f"{path}: expected a prepared data set; got no dataset_info.json")
    return found[-1]

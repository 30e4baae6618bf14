"""Data sets prepared with TensorFlow Datasets, read by random access without TensorFlow."""

import pathlib
from typing import Any

import numpy as np

from experiments.data._sources import Dataset, RecordSource, Source, split_validation
from experiments.errors import UserError

CLASSES = {"cifar10": 10, "patch_camelyon": 2}


def load_tfds(name: str, directory: str, *, num_validation: int, seed: int) -> Dataset:
    """Opens a prepared data set. If it has no validation split, `num_validation` training examples are held out.

    Args:
      name: a key of `CLASSES`.
      directory: the data directory of TFDS.
      num_validation: number of training examples to hold out.
      seed: seed of that split.

    Raises:
      UserError: the data set is not prepared in the directory.
    """
    splits = open_splits(name, directory)
    if "validation" in splits:
        train, validation = (RecordSource(splits[split]) for split in ("train", "validation"))
    else:
        whole: Source = RecordSource(splits["train"])
        train, validation = split_validation(whole, num_validation, seed=seed, name=name)
    return Dataset(name, train, validation, lambda: RecordSource(splits["test"]), CLASSES[name])


def open_splits(name: str, directory: str) -> dict[str, Any]:
    """Opens all splits of a prepared data set.

    Raises:
      UserError: it is not prepared in `directory`; the message has the command that prepares it.
    """
    command = f"python -m experiments.data.prepare {name} --data_dir {directory}"
    if not (pathlib.Path(directory) / name).is_dir():
        raise UserError(
            f"expected {name} in {directory!r}; got no such folder; prepare it: {command} (needs the extra [data])"
        )
    import tensorflow_datasets as tfds

    try:
        builder = tfds.builder_from_directory(_latest(pathlib.Path(directory) / name))
        splits: Any = builder.as_data_source()
        return splits
    except Exception as error:
        raise UserError(f"{name} in {directory!r} cannot be read ({error}); prepare it again: {command}") from error


def read_arrays(name: str, split: str, directory: str) -> tuple[np.ndarray, np.ndarray]:
    """Reads a whole split into memory."""
    source = RecordSource(open_splits(name, directory)[split])
    batch = source.fetch(np.arange(len(source)))
    return batch["image"], batch["label"]


def _latest(path: pathlib.Path) -> pathlib.Path:
    found = sorted(file.parent for file in path.rglob("dataset_info.json"))
    if not found:
        raise UserError(f"{path}: expected a prepared data set; got no dataset_info.json")
    return found[-1]

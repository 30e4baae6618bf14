"""Sets prepared through TensorFlow Datasets, read with `tfds.data_source`: random access, no TensorFlow at run time."""

import pathlib
from typing import Any

import numpy as np

from experiments.data._sources import Dataset, RecordSource, Source, split_validation
from experiments.errors import UserError

CLASSES = {"cifar10": 10, "patch_camelyon": 2}


def load_tfds(name: str, directory: str, *, num_validation: int, seed: int) -> Dataset:
    """Opens a prepared set. Where it has no validation split of its own, `num_validation` examples are held out.

    Args:
      name: of a set in `CLASSES`.
      directory: TFDS's data directory.
      num_validation: examples held out of training, where needed.
      seed: of that split.

    Raises:
      UserError: the set is not prepared in the directory.
    """
    splits = open_splits(name, directory)
    if "validation" in splits:
        train, validation = (RecordSource(splits[split]) for split in ("train", "validation"))
    else:
        whole: Source = RecordSource(splits["train"])
        train, validation = split_validation(whole, num_validation, seed=seed, name=name)
    return Dataset(name, train, validation, lambda: RecordSource(splits["test"]), CLASSES[name])


def open_splits(name: str, directory: str) -> dict[str, Any]:
    """Opens all splits of a prepared set by name.

    Raises:
      UserError: not prepared in `directory`, with the command that prepares it.
    """
    command = f"python -m experiments.data.prepare {name} --data_dir {directory}"
    if not (pathlib.Path(directory) / name).is_dir():
        raise UserError(f"{name} is not in {directory!r}; get it with: {command} (needs the extra [data])")
    import tensorflow_datasets as tfds

    try:
        builder = tfds.builder_from_directory(_latest(pathlib.Path(directory) / name))
        splits: Any = builder.as_data_source()
        return splits
    except Exception as error:
        raise UserError(
            f"{name} in {directory!r} cannot be read ({error}); prepare it again with: {command}"
        ) from error


def read_arrays(name: str, split: str, directory: str) -> tuple[np.ndarray, np.ndarray]:
    """Reads a whole split into memory."""
    source = RecordSource(open_splits(name, directory)[split])
    batch = source.fetch(np.arange(len(source)))
    return batch["image"], batch["label"]


def _latest(path: pathlib.Path) -> pathlib.Path:
    found = sorted(file.parent for file in path.rglob("dataset_info.json"))
    if not found:
        raise UserError(f"{path} holds no prepared set (no dataset_info.json)")
    return found[-1]

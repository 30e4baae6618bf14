"""Rotated MNIST: the official archive if the user has it, otherwise regenerated from MNIST by the published protocol."""

import hashlib
import io
import pathlib
import zipfile

import numpy as np

from experiments.data._mnist import HOW_TO_GET_IT, load_mnist
from experiments.data._rotation import rotate_uint8
from experiments.data._sources import ArraySource, Dataset, check_labels, split_validation
from experiments.errors import UserError

ARCHIVE = "mnist_rotation_new.zip"
ARCHIVE_URL = f"http://www.iro.umontreal.ca/~lisa/icml2007data/{ARCHIVE}"
ARCHIVE_MD5 = "0f9a947ff3d30e95cd685462cbf3b847"
AMAT = {
    "train": "mnist_all_rotation_normalized_float_train_valid.amat",
    "test": "mnist_all_rotation_normalized_float_test.amat",
}
SIZES = {"train": 12_000, "test": 50_000}


def load_rotmnist(directory: str, *, num_validation: int, seed: int) -> Dataset:
    """12,000 digits for training and validation, 50,000 for testing, each rotated by a uniform random angle.

    Looks in `directory` for the official archive or its two .amat files, then for a set prepared with TFDS, then for a
    copy of MNIST (mnist.npz or the four IDX files), from which the set is regenerated.

    Args:
      directory: the directory of the data.
      num_validation: number of the 12,000 that are held out; 2,000 in the papers.
      seed: seed of the validation split and, if the set is regenerated, of the draw and the angles.

    Raises:
      UserError: no data, or data that cannot be used.
    """
    path = pathlib.Path(directory)
    if (path / "rotated_mnist").is_dir() and not _holds_official_files(path):
        from experiments.data._tfds import read_arrays

        name = "rotmnist (TFDS)"

        def read(split: str) -> tuple[np.ndarray, np.ndarray]:
            return read_arrays("rotated_mnist", split, directory)
    else:
        name = f"rotmnist ({'official' if _holds_official_files(path) else 'regenerated'})"

        def read(split: str) -> tuple[np.ndarray, np.ndarray]:
            return read_split(path, split, seed=seed)

    def source(split: str) -> ArraySource:
        return ArraySource(*read(split), name=f"{name}, {split}")

    train, validation = split_validation(source("train"), num_validation, seed=seed, name=name)
    return Dataset(name, train, validation, lambda: source("test"), num_classes=10)


def read_split(directory: pathlib.Path, split: str, *, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Reads a split from the official files if the directory has them, otherwise regenerates it from MNIST.

    Raises:
      UserError: neither exists, or it cannot be used.
    """
    if _holds_official_files(directory):
        return read_official(directory, split)
    mnist = load_mnist(str(directory))
    if mnist is None:
        raise UserError(
            f"expected rotated MNIST or MNIST in {str(directory)!r}; got neither: "
            f"{HOW_TO_GET_IT.format(directory=directory)}; or put the official {ARCHIVE} ({ARCHIVE_URL}) there; "
            "--config.data_dir=DIR names another directory"
        )
    return regenerate(mnist, split, seed=seed)


def _holds_official_files(directory: pathlib.Path) -> bool:
    return any((directory / name).is_file() for name in (ARCHIVE, *AMAT.values()))


def regenerate(mnist: dict[str, np.ndarray], split: str, *, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Draws a split from the 70,000 digits of MNIST without replacement and rotates each digit by its own random angle.

    Args:
      mnist: the arrays returned by `load_mnist`.
      split: "train" (12,000) or "test" (50,000); the two share no digit.
      seed: determines the digits and the angles.

    Returns:
      uint8 images `[n, 28, 28, 1]` and labels `[n]`.
    """
    images = np.concatenate([mnist["train_images"], mnist["test_images"]])
    labels = np.concatenate([mnist["train_labels"], mnist["test_labels"]])
    needed = sum(SIZES.values())
    if len(images) < needed:
        raise UserError(f"rotated MNIST: expected {needed} digits of MNIST; got {len(images)}")
    generator = np.random.default_rng(seed)
    order = generator.permutation(len(images))
    angles = generator.uniform(0, 2 * np.pi, len(images)).astype(np.float32)
    start, stop = (0, SIZES["train"]) if split == "train" else (SIZES["train"], needed)
    chosen = order[start:stop]
    return rotate_uint8(images[chosen][..., None], angles[chosen]), labels[chosen]


def read_official(directory: pathlib.Path, split: str) -> tuple[np.ndarray, np.ndarray]:
    """Reads a split of the official set, from the archive (checksum verified) or from the unpacked .amat file.

    Each line of an .amat file holds the 784 pixels of a digit, floats in [0, 1], column by column, and its label.

    Raises:
      UserError: an archive other than the official one, or a truncated or damaged file.
    """
    name = AMAT[split]
    archive = directory / ARCHIVE
    if archive.is_file():
        digest = hashlib.md5(archive.read_bytes()).hexdigest()
        if digest != ARCHIVE_MD5:
            raise UserError(
                f"{archive}: expected MD5 {ARCHIVE_MD5}, that of the official archive; got {digest}; "
                f"download {ARCHIVE_URL} again"
            )
        with zipfile.ZipFile(archive) as content:
            text = content.read(next(member for member in content.namelist() if member.endswith(name)))
    elif (directory / name).is_file():
        text = (directory / name).read_bytes()
    else:
        raise UserError(f"{directory}: expected both files of the official rotated MNIST; {name} is missing")
    return parse_amat(text, name=name, size=SIZES[split])


def parse_amat(text: bytes, *, name: str, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Parses the text of an .amat file into uint8 images `[n, 28, 28, 1]` and labels `[n]`.

    Raises:
      UserError: other than `size` lines of 785 numbers, or labels outside 0 .. 9.
    """
    try:
        table = np.loadtxt(io.BytesIO(text), dtype=np.float32, ndmin=2)
    except ValueError as error:
        raise UserError(f"{name} is damaged or truncated: {error}") from error
    if table.shape != (size, 785):
        raise UserError(f"{name}: expected {size} lines of 785 numbers; got {list(table.shape)}; is it truncated?")
    labels = table[:, -1].astype(np.int32)
    check_labels(labels, 10, name=name)
    # The published code reads them row by row, which transposes the digits.
    columns = np.rint(255 * table[:, :-1].reshape(-1, 28, 28, 1)).clip(0, 255).astype(np.uint8)
    return columns.swapaxes(1, 2), labels

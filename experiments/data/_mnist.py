"""MNIST from a file that the user provides: one .npz file, or the four IDX files."""

import gzip
import pathlib
import struct
import zipfile
import zlib

import numpy as np

from experiments.data._sources import check_labels
from experiments.errors import UserError

# Names of the arrays, and the names used by Keras.
KEYS = {
    "train_images": "x_train",
    "train_labels": "y_train",
    "test_images": "x_test",
    "test_labels": "y_test",
}
IDX_FILES = {
    "train_images": "train-images-idx3-ubyte",
    "train_labels": "train-labels-idx1-ubyte",
    "test_images": "t10k-images-idx3-ubyte",
    "test_labels": "t10k-labels-idx1-ubyte",
}
HOW_TO_GET_IT = (
    "put mnist.npz (arrays train_images, train_labels, test_images, test_labels) or the four IDX files "
    "(train-images-idx3-ubyte.gz, ...) there, for example with: "
    "curl --create-dirs -o {directory}/mnist.npz https://storage.googleapis.com/tensorflow/tf-keras-datasets/mnist.npz"
)


def load_mnist(directory: str) -> dict[str, np.ndarray] | None:
    """Reads MNIST from a directory or from an .npz file.

    Args:
      directory: the directory or the file; nothing is downloaded.

    Returns:
      uint8 images `[n, 28, 28]` and labels `[n]` with the names of `KEYS`, or None if there is no copy.

    Raises:
      UserError: a file exists but cannot be used.
    """
    path = pathlib.Path(directory)
    npz = path if path.suffix == ".npz" else path / "mnist.npz"
    if npz.is_file():
        arrays = read_npz(npz)
    else:
        files = {key: _find_idx(path, name) for key, name in IDX_FILES.items()}
        if not any(files.values()):
            return None
        missing = [IDX_FILES[key] for key, file in files.items() if file is None]
        if missing:
            raise UserError(
                f"{path}: expected the four IDX files of MNIST; {', '.join(missing)} is missing (.gz or unpacked)"
            )
        arrays = {key: read_idx(file) for key, file in files.items() if file is not None}
    for split in ("train", "test"):
        images, labels = arrays[f"{split}_images"], arrays[f"{split}_labels"]
        if images.shape[1:] != (28, 28) or images.dtype != np.uint8:
            raise UserError(f"MNIST in {path}: expected uint8 images of 28x28; got {images.dtype} {list(images.shape)}")
        if labels.shape != images.shape[:1]:
            raise UserError(f"MNIST in {path}: expected {len(images)} {split} labels; got shape {list(labels.shape)}")
        check_labels(labels, 10, name=f"MNIST in {path}")
    return arrays


def read_npz(path: pathlib.Path) -> dict[str, np.ndarray]:
    """Reads the four arrays of a labelled image set from an .npz file.

    Raises:
      UserError: no .npz file, a truncated one, or one that lacks an array.
    """
    try:
        with open(path, "rb") as file, np.load(file) as archive:
            found = {key: key if key in archive else other for key, other in KEYS.items()}
            missing = [key for key, other in found.items() if other not in archive]
            if missing:
                raise UserError(f"{path}: expected array {', '.join(missing)}; got only {', '.join(archive.files)}")
            return {key: archive[other] for key, other in found.items()}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise UserError(f"{path} cannot be read as .npz ({error}); is it truncated?") from error


def read_idx(path: pathlib.Path) -> np.ndarray:
    """Reads one IDX file of unsigned bytes, compressed or not.

    Raises:
      UserError: no IDX file, or a truncated one.
    """
    try:
        content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        zeros, kind, dimensions = struct.unpack(">HBB", content[:4])
        shape = struct.unpack(f">{dimensions}I", content[4 : 4 + 4 * dimensions])
    except (OSError, EOFError, struct.error, zlib.error) as error:
        raise UserError(f"{path} cannot be read as an IDX file ({error}); is it truncated?") from error
    values = np.frombuffer(content, np.uint8, offset=4 + 4 * dimensions)
    if zeros != 0 or kind != 8 or values.size != int(np.prod(shape)):
        raise UserError(f"{path}: expected {list(shape)} unsigned bytes by the IDX header; got {values.size}")
    return values.reshape(shape)


def _find_idx(directory: pathlib.Path, name: str) -> pathlib.Path | None:
    dotted = name.replace("-idx", ".idx")
    candidates = [directory / f"{stem}{suffix}" for stem in (name, dotted) for suffix in (".gz", "")]
    return next((path for path in candidates if path.is_file()), None)

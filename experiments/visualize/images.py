"""Images to show: from the test split of a run, from a file, or from the embedded digits."""

import pathlib

import jax.numpy as jnp
import numpy as np
from PIL import Image

from experiments import data
from experiments.errors import UserError
from experiments.trained.run import Run


def image_of_test_split(run: Run, index: int) -> tuple[np.ndarray, str]:
    """An image of the test split of a run, `[rows, columns, channels]` in [0, 1], and its description.

    Raises:
      UserError: data that is not there, or no image of that index.
    """
    dataset = run.load_data()
    test = dataset.test()
    if not 0 <= index < len(test):
        raise UserError(
            f"--index: expected 0 to {len(test) - 1}, one of the {len(test)} test images of {dataset.name}; got {index}"
        )
    batch = test.fetch(np.asarray([index]))
    image = np.asarray(data.as_unit_range(jnp.asarray(batch["image"])))[0]
    return image, f"test image {index} of {dataset.name}, class {batch['label'][0]}"


def file_image(run: Run, path: pathlib.Path) -> tuple[np.ndarray, str]:
    """The central square of an image file in [0, 1], resized to the input of the network, and the name of the file.

    Raises:
      UserError: a file that is not an image, or a network that reads neither grey nor coloured images.
    """
    rows, columns, channels = run.image_shape
    if channels not in (1, 3):
        raise UserError(
            f"--image: expected a run whose network reads 1 or 3 channels; got {channels}; choose another --workdir"
        )
    try:
        with Image.open(path) as file:
            picture = file.convert("L" if channels == 1 else "RGB")
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        reason = getattr(error, "strerror", None) or "not an image in a format that Pillow reads"
        raise UserError(f"--image {path}: cannot be read ({reason})") from error
    side = min(picture.size)
    left, top = (picture.width - side) // 2, (picture.height - side) // 2
    square = picture.crop((left, top, left + side, top + side)).resize((columns, rows), Image.Resampling.LANCZOS)
    return np.asarray(square, np.float32).reshape(rows, columns, channels) / 255, path.name


def upright_digits(index: int, count: int) -> np.ndarray:
    """Consecutive embedded digits without rotation, `[count, 8, 8, 1]` in [0, 1].

    Raises:
      UserError: no digit of that index.
    """
    digits = data.load_digits(num_validation=180, seed=0).train
    last = len(digits) - count
    if not 0 <= index <= last:
        raise UserError(f"--index: expected 0 to {last}, one of the upright digits; got {index}")
    return digits.fetch(np.arange(index, index + count))["image"]

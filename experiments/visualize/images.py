"""Images to show: from the test split of a run, from a file, or from the embedded digits."""

import pathlib

import jax.numpy as jnp
import numpy as np

from experiments import data
from experiments.errors import UserError
from experiments.trained.run import Run


def image_of_test_split(run: Run, index: int) -> tuple[np.ndarray, str]:
    """An image of the test split of a run, `[*sizes, channels]` in [0, 1], and its description.

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
    """An image file as the run reads its own images, in [0, 1], and the name of the file.

    Raises:
      UserError: a file that cannot be read exactly, or of another kind than the images of the run.
    """
    try:
        image = run.preprocessing.to_unit_range(run.preprocessing.read(path)[None])
    except UserError as error:
        raise UserError(f"--image {error}") from error
    return np.asarray(data.as_unit_range(jnp.asarray(image)))[0], path.name


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

"""Images to look at: of a run's test split, of its user, and the embedded digits."""

import pathlib

import jax.numpy as jnp
import numpy as np
from PIL import Image

from experiments import data
from experiments.errors import UserError
from experiments.runs import Run
from gequi_jax import models


def image_of_test_split(run: Run, index: int) -> tuple[np.ndarray, str]:
    """An image of the test split in [0, 1], and what it is.

    Raises:
      UserError: data that is not there, or no image of that index.
    """
    info = models.model_info(run.config.model)
    classes = run.config.model_overrides.get("num_classes", info.num_classes)
    dataset = data.load_dataset(run.config, image_shape=run.image_shape, num_classes=classes)
    test = dataset.test()
    if not 0 <= index < len(test):
        raise UserError(
            f"--index {index}: expected 0 to {len(test) - 1}, the {len(test)} test images of {dataset.name}"
        )
    batch = test.fetch(np.asarray([index]))
    image = np.asarray(data.as_unit_range(jnp.asarray(batch["image"])))[0]
    return image, f"test image {index} of {dataset.name}, class {batch['label'][0]}"


def file_image(run: Run, path: pathlib.Path) -> tuple[np.ndarray, str]:
    """The centred square of an image file in [0, 1], brought to the size of the network, and its name.

    Raises:
      UserError: a file that is no image, or a network that reads neither grey nor coloured images.
    """
    rows, columns, channels = run.image_shape
    if channels not in (1, 3):
        raise UserError(f"--image {path}: the network of {run.workdir} reads {channels} channels, an image has 1 or 3")
    try:
        with Image.open(path) as file:
            picture = file.convert("L" if channels == 1 else "RGB")
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        reason = getattr(error, "strerror", None) or "no image in a format that Pillow knows"
        raise UserError(f"--image {path}: cannot be read ({reason})") from error
    side = min(picture.size)
    left, top = (picture.width - side) // 2, (picture.height - side) // 2
    square = picture.crop((left, top, left + side, top + side)).resize((columns, rows), Image.Resampling.LANCZOS)
    image = np.asarray(square, np.float32).reshape(rows, columns, channels) / 255
    return image, path.name


def upright_digits(index: int, count: int) -> np.ndarray:
    """Some of the embedded digits as they were written, `[count, 8, 8, 1]` in [0, 1], beginning at an index.

    Raises:
      UserError: no digit of that index.
    """
    upright = data.load_digits(num_validation=180, seed=0).train
    last = len(upright) - count
    if not 0 <= index <= last:
        raise UserError(f"--index {index}: expected 0 to {last}, of the upright digits")
    return upright.fetch(np.arange(index, index + count))["image"]

"""The digits of scikit-learn: 1,797 images of 8x8 pixels, written by 43 people, included in the package."""

from typing import Any

import numpy as np

from experiments.data._rotation import rotate_images
from experiments.data._sources import ArraySource, Dataset

NUM_TEST = 360


def load_digits(*, num_validation: int, seed: int) -> Dataset:
    """Splits the digits by image, then rotates every validation and test image by its own fixed random angle.

    Training images stay upright: the augmentation rotates them anew each time they are drawn.

    Args:
      num_validation: number of training images held out to select the best epoch.
      seed: of the split and of the fixed angles.
    """
    from sklearn.datasets import load_digits as load

    digits: Any = load()
    images = (digits.images[..., None] / 16.0).astype(np.float32)
    labels = digits.target.astype(np.int32)
    generator = np.random.default_rng(seed)
    order = generator.permutation(len(images))
    angles = generator.uniform(0, 2 * np.pi, len(images)).astype(np.float32)
    held_out = NUM_TEST + num_validation
    test, validation, train = order[:NUM_TEST], order[NUM_TEST:held_out], order[held_out:]

    def rotated(indices: np.ndarray, name: str) -> ArraySource:
        return ArraySource(rotate_images(images[indices], angles[indices]), labels[indices], name=name)

    return Dataset(
        name="digits",
        train=ArraySource(images[train], labels[train], name="digits, train"),
        validation=rotated(validation, "digits, validation"),
        test=lambda: rotated(test, "digits, test"),
        num_classes=10,
    )

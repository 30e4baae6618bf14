"""Synthetic images of any shape, to try a configuration without its data."""

import numpy as np

from experiments.data._sources import ArraySource, Dataset, split_validation


def load_generated(
    image_shape: tuple[int, ...], num_classes: int, *, num_validation: int, seed: int, size: int = 0
) -> Dataset:
    """One random pattern for each class, plus noise. A network can learn it; an accuracy on it says nothing about real data.

    Args:
      image_shape: spatial sizes and channels.
      num_classes: number of classes.
      num_validation: number of images held out of training.
      seed: seed of patterns, noise and split.
      size: number of training and of test images before the split; 4 times num_validation by default.
    """
    size = size or 4 * num_validation
    patterns = np.random.default_rng(seed).uniform(0, 255, (num_classes, *image_shape))

    def source(split: int, name: str) -> ArraySource:
        generator = np.random.default_rng([seed, split])
        labels = generator.integers(0, num_classes, size)
        noise = generator.uniform(0, 255, (size, *image_shape))
        return ArraySource((0.7 * patterns[labels] + 0.3 * noise).astype(np.uint8), labels, name=name)

    train, validation = split_validation(source(0, "generated, train"), num_validation, seed=seed, name="generated")
    return Dataset("generated", train, validation, lambda: source(1, "generated, test"), num_classes)

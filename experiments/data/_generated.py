"""Synthetic images of any shape, to try a configuration without its data."""

import numpy as np

from experiments.data._labels import SEGMENTATION, LabelNames
from experiments.data._listing import Listing, Split
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


def list_generated_masks(
    image_shape: tuple[int, ...], num_classes: int, *, counts: tuple[int, int, int], seed: int
) -> Listing:
    """Boxes of one class after the other on a background of class 0, brighter the higher their class, plus noise.

    Args:
      image_shape: spatial sizes and channels.
      num_classes: number of classes.
      counts: images of the training, the validation and the test split.
      seed: of boxes and noise.
    """
    splits = []
    for index, count in enumerate(counts):
        generator = np.random.default_rng([seed, index])
        masks = np.empty(count, object)
        masks[:] = [_boxes(generator, image_shape[:-1], num_classes) for _ in range(count)]
        levels = np.stack([*masks])[..., None] * (160 / max(num_classes - 1, 1))
        images = levels + generator.uniform(0, 95, (count, *image_shape))
        splits.append(Split(images.astype(np.uint8), masks))
    train, validation, test = splits
    names = LabelNames(tuple(map(str, range(num_classes))), SEGMENTATION)
    return Listing("generated", names, train, validation, lambda: test)


def _boxes(generator: np.random.Generator, sizes: tuple[int, ...], num_classes: int) -> np.ndarray:
    mask = np.zeros(sizes, np.uint8)
    for number in range(1, num_classes):
        starts = [int(generator.integers(0, max(1, side // 2))) for side in sizes]
        mask[tuple(slice(start, start + max(1, side // 3)) for start, side in zip(starts, sizes, strict=True))] = number
    return mask

"""Small image files for the tests of layouts."""

import numpy as np
from PIL import Image


def write_image(path, index, size=(6, 5), channels=3, dtype=np.uint8):
    """An image of which every pixel differs by its index."""
    path.parent.mkdir(parents=True, exist_ok=True)
    generator = np.random.default_rng(index)
    pixels = generator.integers(0, np.iinfo(dtype).max, (*size, channels)[: 3 if channels > 1 else 2], dtype)
    if path.suffix == ".tif":
        import tifffile

        tifffile.imwrite(path, pixels)
    else:
        Image.fromarray(pixels).save(path)
    return pixels


def write_folder(folder, splits=("train", "test"), classes=("cat", "dog"), count=4, suffix=".png", **options):
    index = 0
    for split in splits:
        for name in classes:
            for _ in range(count):
                write_image(folder / split / name / f"{index}{suffix}", index, **options)
                index += 1


def all_examples(source):
    batch = source.fetch(np.arange(len(source)))
    return batch["image"], batch["label"]

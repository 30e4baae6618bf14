"""Sources of images with masks: whole images of any sizes, and tiles of them for training."""

import math
import pathlib
from collections.abc import Sequence

import numpy as np

from experiments.data._masks import value_counts
from experiments.data._preprocessing import Preprocessing
from experiments.data._sources import Batch


class ImageFiles:
    """Decoded images of any sizes by index, in the files' own type.

    Args:
      paths: of the files.
      preprocessing: channels and type.
      keep: whether decoded images stay in memory.
    """

    def __init__(self, paths: Sequence[pathlib.Path], preprocessing: Preprocessing, *, keep: bool):
        self.paths = list(paths)
        self._preprocessing, self._keep = preprocessing, keep
        self._kept: dict[int, np.ndarray] = {}

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> np.ndarray:
        if index in self._kept:
            return self._kept[index]
        image = self._preprocessing.read(self.paths[index])
        if self._keep:
            self._kept[index] = image
        return image


class MaskedSource:
    """Images in their own sizes, each with its mask.

    Args:
      images: `[n, *sizes, channels]`, or files.
      masks: `[n]` objects, uint8 `[*sizes]`.
      preprocessing: of the data set.
    """

    def __init__(self, images: np.ndarray | ImageFiles, masks: np.ndarray, preprocessing: Preprocessing):
        self.images, self.masks, self.preprocessing = images, masks, preprocessing

    def __len__(self) -> int:
        return len(self.masks)

    def example(self, index: int) -> Batch:
        """One image `[*sizes, channels]` and its mask `[*sizes]`."""
        image = self.preprocessing.to_unit_range(np.asarray(self.images[index])[None])[0]
        return {"image": image, "label": self.masks[index].astype(np.int32)}

    def fetch(self, indices: np.ndarray) -> Batch:
        """Stacks the examples of `indices`, which must have one size."""
        return _stacked([self.example(int(index)) for index in indices])


class TiledSource:
    """Tiles of one size from the images of another source, the images in turn.

    Args:
      source: images at least as large as a tile.
      sizes: of a tile; () for whole images, which then must have one size.
      count: tiles of an epoch; 0 for as many as cover every image.
    """

    def __init__(self, source: MaskedSource, sizes: tuple[int, ...] = (), count: int = 0):
        self.source = source
        self.sizes = sizes or source.masks[0].shape
        self.count = count or sum(
            math.prod(-(-side // tile) for side, tile in zip(mask.shape, self.sizes, strict=True))
            for mask in source.masks
        )

    def __len__(self) -> int:
        return self.count

    @property
    def num_images(self) -> int:
        """The number of images that tiles are cut out of."""
        return len(self.source)

    @property
    def class_counts(self) -> np.ndarray:
        """The number of pixels of each class in all images, `[256]`."""
        return value_counts(self.source.masks)

    def fetch(self, indices: np.ndarray) -> Batch:
        """The tiles at the centres of the images."""
        places = [[room // 2 for room in self._room(index)] for index in indices]
        return self._tiles(indices, places)

    def draw(self, indices: np.ndarray, generator: np.random.Generator, rows: slice) -> Batch:
        """Tiles at uniformly random places; all are drawn, and those of some rows read.

        Args:
          indices: of a batch.
          generator: of the places.
          rows: which of them are read.
        """
        places = [[int(generator.integers(room + 1)) for room in self._room(index)] for index in indices]
        return self._tiles(indices[rows], places[rows])

    def _room(self, index: int) -> list[int]:
        shape = self.source.masks[index % len(self.source)].shape
        return [side - tile for side, tile in zip(shape, self.sizes, strict=True)]

    def _tiles(self, indices: np.ndarray, places: Sequence[Sequence[int]]) -> Batch:
        cut = []
        for index, place in zip(indices, places, strict=True):
            example = self.source.example(int(index) % len(self.source))
            window = tuple(slice(start, start + tile) for start, tile in zip(place, self.sizes, strict=True))
            cut.append({name: values[window] for name, values in example.items()})
        return _stacked(cut)


def _stacked(examples: Sequence[Batch]) -> Batch:
    return {name: np.stack([example[name] for example in examples]) for name in examples[0]}

"""The pixels of image files, decoded by several threads and kept in memory where they fit."""

import os
import pathlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from experiments.data._preprocessing import Preprocessing


class FilePixels:
    """Decoded and resized images by index: `pixels[indices]` is `[n, *sizes, channels]` in the files' own type.

    Args:
      paths: of the files.
      preprocessing: sizes and channels.
      keep: whether each image stays in memory once it is decoded.
    """

    def __init__(self, paths: Sequence[pathlib.Path], preprocessing: Preprocessing, *, keep: bool):
        self.paths = list(paths)
        self.preprocessing = preprocessing
        shape = (len(self.paths) if keep else 0, *preprocessing.sizes, preprocessing.channels)
        # Pages of it are taken from the system as they are filled.
        self._kept = np.empty(shape, preprocessing.dtype)
        self._is_kept = np.zeros(len(self.paths), bool)
        self._keep = keep
        self._threads = ThreadPoolExecutor(os.cpu_count() or 1)

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, indices: np.ndarray) -> np.ndarray:
        indices = np.asarray(indices)
        if not self._keep:
            return np.stack(list(self._threads.map(self._decode, indices)))
        missing = np.unique(indices[~self._is_kept[indices]])
        for index, pixels in zip(missing, self._threads.map(self._decode, missing), strict=True):
            self._kept[index] = pixels
            self._is_kept[index] = True
        return self._kept[indices]

    def _decode(self, index: int) -> np.ndarray:
        return self.preprocessing.read(self.paths[index])


class Joined:
    """Several pixels one after another, under one index."""

    def __init__(self, parts: Sequence[np.ndarray | FilePixels]):
        self.parts = parts
        self.ends = np.cumsum([len(part) for part in parts])

    def __getitem__(self, indices: np.ndarray) -> np.ndarray:
        places = np.searchsorted(self.ends, indices, side="right")
        starts = np.concatenate([[0], self.ends[:-1]])
        return np.stack(
            [
                self.parts[place][np.asarray([index - starts[place]])][0]
                for place, index in zip(places, np.asarray(indices), strict=True)
            ]
        )


def fits_in_memory(num_images: int, preprocessing: Preprocessing) -> bool:
    """Whether decoded images take at most half of the memory that is available now."""
    size = (
        num_images
        * int(np.prod((*preprocessing.sizes, preprocessing.channels)))
        * np.dtype(preprocessing.dtype).itemsize
    )
    return 2 * size <= available_memory()


def available_memory() -> int:
    """Bytes of memory that are available now."""
    try:
        lines = pathlib.Path("/proc/meminfo").read_text().splitlines()
        available = next(line for line in lines if line.startswith("MemAvailable:"))
        return int(available.split()[1]) * 1024
    except (OSError, StopIteration):
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2

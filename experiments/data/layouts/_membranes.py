"""The electron micrographs of neurons of the ISBI 2012 challenge: 30 slices of 512x512 pixels, and where cells are."""

import pathlib

import numpy as np

from experiments.data._labels import SEGMENTATION, LabelNames
from experiments.data._listing import Listing, Split
from experiments.data._masks import encode_masks
from experiments.data.layouts._masked_npz import read_masked
from experiments.errors import UserError

# Neighbouring slices look alike, so that each split is a block of them.
BLOCKS = {"train": slice(0, 20), "validation": slice(20, 24), "test": slice(24, 30)}
_SHAPE = (30, 512, 512)


def list_membranes(path: str) -> Listing:
    """Lists `images` `[30, 512, 512]` and `masks`, true inside cells and false on membranes, as blocks of slices.

    Args:
      path: the .npz file, or the folder of em_membranes.npz.

    Raises:
      UserError: no such file, or arrays of other shapes.
    """
    file = pathlib.Path(path)
    file = file if file.suffix == ".npz" else file / "em_membranes.npz"
    if not file.is_file():
        raise UserError(
            f"--config.dataset=membranes: expected --config.data_dir={file}, with arrays images {list(_SHAPE)} and masks, "
            "the training volume of https://imagej.net/events/isbi-2012-segmentation-challenge; there is no such file"
        )
    images, masks, _ = read_masked(file, "train")
    if images.shape[:-1] != _SHAPE:
        raise UserError(f"{file}: expected images {list(_SHAPE)}; got {list(images.shape[:-1])}")
    names = LabelNames(("membrane", "cell"), SEGMENTATION)
    encoded = encode_masks(masks, names.names, [f"{file}, mask {index}" for index in range(len(masks))])

    def split(name: str) -> Split:
        return Split(images, encoded).select(np.arange(len(images))[BLOCKS[name]])

    return Listing("membranes", names, split("train"), split("validation"), lambda: split("test"))

"""Masks of new images by a run on images with masks: one file of class indices for each image, in its own size."""

import csv
import pathlib
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image

from experiments.data import formats
from experiments.errors import UserError

Row = dict[str, Any]


def predict_masks(
    run: str | pathlib.Path,
    files: Sequence[pathlib.Path],
    folder: pathlib.Path,
    *,
    tile_size: int | None = None,
    over_group: str | None = None,
    over_seeds: bool = False,
    probabilities: bool = False,
) -> tuple[list[Row], tuple[str, ...]]:
    """Segments files one by one and writes masks named like them.

    Args:
      run: the work directory of a finished run on images with masks.
      files: the images, of any sizes.
      folder: of the masks, created if it does not exist.
      tile_size: side of the overlapping tiles in which larger images are read (0: whole images); by default as in the run.
      over_group: the name of a group over which probabilities are averaged, or "own" for that of the network.
      over_seeds: average probabilities over the seeds of the run.
      probabilities: also write NAME.npz with `probabilities` `[*sizes, classes]` and `class_names`.

    Returns:
      A row for each file: `file`, `mask` and `shares` of the classes among its pixels, or `file` and `error`; and the names
      of the classes.

    Raises:
      UserError: no finished run, two files of one name, or a folder that cannot be written.
    """
    from experiments.runs import load_seeds
    from experiments.trained.probabilities import segmentation_function

    outputs = _names(files, folder)
    runs = load_seeds(run, all_seeds=over_seeds)
    first, segment = runs[0], segmentation_function(runs, over_group=over_group, tile_size=tile_size)
    rows: list[Row] = []
    for file, output in zip(files, outputs, strict=True):
        try:
            image = first.preprocessing.to_unit_range(first.preprocessing.read(file)[None])[0]
        except UserError as error:
            rows.append({"file": str(file), "error": str(error)})
            continue
        values = segment(image)
        mask = values.argmax(axis=-1).astype(np.uint8)
        path = _write(mask, output)
        if probabilities:
            np.savez_compressed(f"{output}.npz", probabilities=values, class_names=np.asarray(first.labels.names))
        shares = np.bincount(mask.ravel(), minlength=len(first.labels.names)) / mask.size
        named = zip(first.labels.names, shares.tolist(), strict=False)
        rows.append({"file": str(file), "mask": str(path), "shares": dict(named)})
    return rows, first.labels.names


def write_table(rows: Sequence[Row], names: Sequence[str]) -> None:
    """Prints rows as CSV, with the share of each class among the pixels."""
    writer = csv.writer(sys.stdout)
    writer.writerow(["file", "mask", *names, "error"])
    for row in rows:
        shares = [row["shares"][name] for name in names] if "shares" in row else [""] * len(names)
        writer.writerow([row["file"], row.get("mask", ""), *shares, row.get("error", "")])


def _names(files: Sequence[pathlib.Path], folder: pathlib.Path) -> list[pathlib.Path]:
    """The paths of the masks without their suffixes."""
    by_name: dict[str, pathlib.Path] = {}
    for file in files:
        other = by_name.setdefault(formats.stem(file), file)
        if other is not file:
            raise UserError(f"{other} and {file} have one name, so that their masks would; predict one after the other")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"--output {folder}: {error.strerror or error}") from error
    return [folder / name for name in by_name]


def _write(mask: np.ndarray, output: pathlib.Path) -> pathlib.Path:
    """Writes class indices: an image as PNG, a volume as TIFF with a page for each slice."""
    try:
        if mask.ndim == 2:
            path = output.with_name(f"{output.name}.png")
            Image.fromarray(mask).save(path)
        else:
            path = output.with_name(f"{output.name}.tif")
            pages = [Image.fromarray(page) for page in mask]
            pages[0].save(path, save_all=True, append_images=pages[1:])
    except OSError as error:
        raise UserError(f"--output {output.parent}: {error.strerror or error}") from error
    return path

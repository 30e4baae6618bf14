"""A CSV, TSV or Parquet table with a row for each image: file, label, and optionally split and group."""

import csv
import pathlib

import numpy as np

from experiments.data import formats
from experiments.data._labels import CLASSES, LabelNames
from experiments.data._listing import Listing, Split
from experiments.errors import UserError

SPLITS = {"train": "train", "validation": "validation", "val": "validation", "valid": "validation", "test": "test"}
_REQUIRED, _OPTIONAL = ("file", "label"), ("split", "group")


def list_table(path: str, task: str | None = None) -> Listing:
    """Lists the images of a table.

    Its columns: `file`, relative to the table; `label`, names separated by "|" in a "multi_label" task; optionally
    `split`, one of train, validation and test; optionally `group`, such as the patient, whose images stay together.

    Args:
      path: a .csv, .tsv or .parquet file.
      task: "classes" (the default), "multi_label" or "ordinal".

    Raises:
      UserError: no such table, columns or files missing, a file listed twice, or a group in two splits.
    """
    table = pathlib.Path(path)
    columns = _read(table)
    files = [table.parent / name for name in columns["file"]]
    _check_files(table, files)
    splits = _split_words(table, columns)
    groups = np.asarray(columns["group"]) if "group" in columns else None
    if groups is not None and "split" in columns:
        _check_groups(table, groups, splits)
    training = np.flatnonzero(splits == "train")
    labels = LabelNames.of([columns["label"][i] for i in training], task or CLASSES, name=path)
    if task in (None, CLASSES) and any("|" in name for name in labels.names):
        raise UserError(
            f"{path}: labels such as {next(n for n in labels.names if '|' in n)!r}: set --config.task=multi_label"
        )

    def split(name: str) -> Split | None:
        chosen = np.flatnonzero(splits == name)
        if not len(chosen):
            return None
        encoded = labels.encode([columns["label"][i] for i in chosen], name=f"{path}, {name}")
        return Split([files[i] for i in chosen], encoded, None if groups is None else groups[chosen])

    train, validation, test = split("train"), split("validation"), split("test")
    if train is None:
        raise UserError(f"{path} has no rows with split=train")
    return Listing(table.stem, labels, train, validation, None if test is None else lambda: test)


def _read(table: pathlib.Path) -> dict[str, list[str]]:
    if not table.is_file():
        raise UserError(
            f"--config.dataset=table: expected --config.data_dir=FILE.csv (or .tsv, .parquet); got {str(table)!r}, which is no file"
        )
    if table.suffix == ".parquet":
        columns = _read_parquet(table)
    elif table.suffix in (".csv", ".tsv"):
        columns = _read_text(table, "," if table.suffix == ".csv" else "\t")
    else:
        raise UserError(f"{table}: expected a table .csv, .tsv or .parquet")
    missing = [name for name in _REQUIRED if name not in columns]
    if missing:
        raise UserError(
            f"{table} has no column {' and no column '.join(missing)}; it has {', '.join(columns) or 'none'} "
            f"(expected {', '.join(_REQUIRED)}; optional {', '.join(_OPTIONAL)})"
        )
    if not columns["file"]:
        raise UserError(f"{table} has no rows")
    return columns


def _read_text(table: pathlib.Path, delimiter: str) -> dict[str, list[str]]:
    try:
        with table.open(newline="", encoding="utf-8-sig") as file:
            names, *rows = [row for row in csv.reader(file, delimiter=delimiter, strict=True) if row]
    except (ValueError, csv.Error) as error:
        raise UserError(f"{table} cannot be read as a table ({error})") from error
    for number, row in enumerate(rows, start=2):
        if len(row) != len(names):
            raise UserError(f"{table}: row {number} has {len(row)} fields, the first {len(names)}")
    return {name.strip(): [row[place].strip() for row in rows] for place, name in enumerate(names)}


def _read_parquet(table: pathlib.Path) -> dict[str, list[str]]:
    try:
        from pyarrow import ArrowException, parquet
    except ImportError as error:
        raise UserError(f"{table}: reading it needs pyarrow; pip install 'gequi_jax[images]'") from error
    try:
        columns = parquet.read_table(table).to_pydict()
    except (ArrowException, OSError) as error:
        raise UserError(f"{table} cannot be read as Parquet ({str(error).splitlines()[0]})") from error
    return {name: ["" if value is None else str(value) for value in values] for name, values in columns.items()}


def _check_files(table: pathlib.Path, files: list[pathlib.Path]) -> None:
    missing = [file for file in files if not file.exists()]
    if missing:
        raise UserError(f"{table}: {len(missing)} of its {len(files)} files are not there, the first is {missing[0]}")
    odd = next((file for file in files if not formats.is_image(file)), None)
    if odd is not None:
        raise UserError(f"{table}: {odd} is no image by its name; expected {', '.join(formats.SUFFIXES)}")
    if len(set(files)) < len(files):
        twice = next(file for file in files if files.count(file) > 1)
        raise UserError(f"{table} lists {twice} twice")


def _split_words(table: pathlib.Path, columns: dict[str, list[str]]) -> np.ndarray:
    words = columns.get("split", ["train"] * len(columns["file"]))
    odd = next((word for word in words if word.lower() not in SPLITS), None)
    if odd is not None:
        raise UserError(f"{table}: expected split to be train, validation or test; got {odd!r}")
    return np.asarray([SPLITS[word.lower()] for word in words])


def _check_groups(table: pathlib.Path, groups: np.ndarray, splits: np.ndarray) -> None:
    for group in np.unique(groups):
        inside = np.unique(splits[groups == group])
        if len(inside) > 1:
            raise UserError(f"{table}: group {group} is in {' and '.join(inside)}; keep a group in one split")

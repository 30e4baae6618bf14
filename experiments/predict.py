"""Class probabilities of new images: `python -m experiments.predict RUN PATH... [--output FILE.csv|FILE.json]`.

Images are read as the run read its own: sizes, value range and normalisation are stored with it. A folder stands for all
images in it. A file that cannot be read gets a row that says why. A run on images with masks writes a mask for each image:
`python -m experiments.predict RUN PATH... [--output DIR]`.
"""

import argparse
import contextlib
import csv
import json
import pathlib
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import track

from experiments import data
from experiments.data import formats
from experiments.errors import Parser, UserError, exit_on_user_error
from experiments.huge_pages import restart_with_huge_pages
from experiments.results import inputs

Row = dict[str, Any]


@exit_on_user_error()
def main(arguments: list[str] | None = None) -> None:
    """Parses the flags and predicts."""
    options = _parser().parse_args(arguments)
    if options.batch_size < 1:
        raise UserError(f"--batch_size: expected a positive integer; got {options.batch_size}")
    if inputs.task_of(pathlib.Path(options.run)) == data.SEGMENTATION:
        rows = _segment(options)
    else:
        rows = _classify(options)
    if options.attention:
        draw_attention(
            options.run, [pathlib.Path(row["file"]) for row in rows if "error" not in row], options.attention
        )
    unread = sum("error" in row for row in rows)
    if unread:
        raise UserError(f"{unread} of {len(rows)} files could not be read; the column error says why")


def _classify(options: argparse.Namespace) -> list[Row]:
    if options.probabilities or options.tile_size is not None:
        raise UserError("--probabilities and --tile_size are for runs on images with masks; this one is on labels")
    if options.output and pathlib.Path(options.output).suffix not in (".csv", ".json"):
        raise UserError(f"--output {options.output}: expected a name that ends in .csv or .json")
    rows, names = predict_files(
        options.run,
        find_images(options.paths),
        batch_size=options.batch_size,
        over_group=options.over_group,
        over_seeds=options.over_seeds,
    )
    write(rows, names, options.output)
    return rows


def _segment(options: argparse.Namespace) -> list[Row]:
    from experiments.predict_masks import predict_masks, write_table

    rows, names = predict_masks(
        options.run,
        find_images(options.paths),
        pathlib.Path(options.output or pathlib.Path(options.run) / "masks"),
        tile_size=options.tile_size,
        over_group=options.over_group,
        over_seeds=options.over_seeds,
        probabilities=options.probabilities,
    )
    write_table(rows, names)
    return rows


def _parser() -> Parser:
    parser = Parser(prog="python -m experiments.predict", description="Class probabilities of new images.")
    parser.add_argument("run", help="work directory of a finished run")
    parser.add_argument("paths", nargs="+", help="image files, or folders of them", metavar="path")
    parser.add_argument(
        "--output", help="a .csv or .json file (default: CSV on the terminal); of masks, a folder (default: RUN/masks)"
    )
    parser.add_argument("--batch_size", type=int, default=64, help="images at a time (default: 64)")
    parser.add_argument(
        "--over_group", nargs="?", const="own", metavar="GROUP", help="average over a group (default: the network's)"
    )
    parser.add_argument("--over_seeds", action="store_true", help="average over the seeds of the run")
    parser.add_argument(
        "--tile_size", type=int, help="of masks: side of the tiles in which larger images are read (0: whole images)"
    )
    parser.add_argument("--probabilities", action="store_true", help="of masks: also write probabilities, as .npz")
    parser.add_argument(
        "--attention", metavar="DIR", help="also draw each image and its attention maps, into this folder"
    )
    return parser


def find_images(paths: Sequence[str]) -> list[pathlib.Path]:
    """The named files, and all images of the named folders, in the order of their names.

    Raises:
      UserError: a path that is not there, or a folder without images.
    """
    files: list[pathlib.Path] = []
    for path in map(pathlib.Path, paths):
        if not path.exists():
            raise UserError(f"{path}: there is no such file or folder")
        if not path.is_dir() or formats.is_image(path):
            files.append(path)
            continue
        inside = _images_below(path)
        if not inside:
            raise UserError(f"{path} holds no images; expected files {', '.join(formats.SUFFIXES)}")
        files.extend(inside)
    return files


def predict_files(
    run: str | pathlib.Path,
    files: Sequence[pathlib.Path],
    *,
    batch_size: int = 64,
    over_group: str | None = None,
    over_seeds: bool = False,
) -> tuple[list[Row], tuple[str, ...]]:
    """Predicts files batch by batch.

    Args:
      run: the work directory of a finished run.
      files: the images.
      batch_size: images at a time.
      over_group: the name of a group over which probabilities are averaged, or "own" for that of the network.
      over_seeds: average over the seeds of the run.

    Returns:
      A row for each file: `file`, `prediction` and `probabilities`, or `file` and `error`; and the names of the classes.

    Raises:
      UserError: no finished run.
    """
    # Imported late: mistakes in the flags do not wait for JAX.
    from experiments.runs import load_seeds
    from experiments.trained.probabilities import probability_function

    runs = load_seeds(run, all_seeds=over_seeds)
    first, probabilities = runs[0], probability_function(runs, over_group=over_group)
    rows: list[Row] = [{"file": str(path)} for path in files]
    starts = range(0, len(files), batch_size)
    console = Console(file=sys.stderr)
    for start in track(starts, "predicting", console=console, disable=not console.is_terminal, transient=True):
        part = rows[start : start + batch_size]
        _predict_batch(part, first.preprocessing, probabilities, min(batch_size, len(files)), first.labels)
    return rows, first.labels.names


def draw_attention(run: str | pathlib.Path, files: Sequence[pathlib.Path], folder: str) -> None:
    """Draws the attention maps of images.

    Args:
      run: the work directory of a finished run whose network has attention.
      files: the images.
      folder: where the figures go, named as the images.

    Raises:
      UserError: a network without attention, or a folder that cannot be written.
    """
    from experiments.runs import load_run
    from experiments.visualize.attention.of_files import draw_files

    try:
        draw_files(load_run(run), files, pathlib.Path(folder))
    except OSError as error:
        raise UserError(f"--attention {folder}: {error.strerror or error}") from error


def write(rows: list[Row], names: Sequence[str], output: str | None) -> None:
    """Writes rows as CSV, one column for each class, or as JSON.

    Args:
      rows: as `predict_files` gives them.
      names: of the classes.
      output: a .csv or .json file; None for CSV on the terminal.

    Raises:
      UserError: the file cannot be written.
    """
    if output is not None and output.endswith(".json"):
        text = json.dumps(rows, indent=2) + "\n"
        with _opened(output) as file:
            file.write(text)
        return
    with _opened(output) as file:
        writer = csv.writer(file)
        writer.writerow(["file", "prediction", *names, "error"])
        for row in rows:
            values = [row["probabilities"][name] for name in names] if "probabilities" in row else [""] * len(names)
            prediction = row.get("prediction", "")
            text = prediction if isinstance(prediction, str) else "|".join(prediction)
            writer.writerow([row["file"], text, *values, row.get("error", "")])


def _images_below(folder: pathlib.Path) -> list[pathlib.Path]:
    found = []
    for child in sorted(folder.iterdir()):
        if formats.is_image(child):
            found.append(child)
        elif child.is_dir() and not child.name.startswith("."):
            found.extend(_images_below(child))
    return found


def _predict_batch(
    rows: list[Row],
    preprocessing: data.Preprocessing,
    probabilities: Callable[[np.ndarray], np.ndarray],
    batch_size: int,
    labels: data.LabelNames,
) -> None:
    images, read = [], []
    for row in rows:
        try:
            images.append(preprocessing.read(pathlib.Path(row["file"])))
            read.append(row)
        except UserError as error:
            row["error"] = str(error)
    if not images:
        return
    # One shape, so that the network is compiled once.
    batch = np.stack(images + [images[0]] * (batch_size - len(images)))
    for row, values in zip(read, probabilities(preprocessing.to_unit_range(batch)), strict=False):
        row["prediction"] = _prediction(values, labels)
        row["probabilities"] = {name: float(value) for name, value in zip(labels.names, values, strict=True)}


def _prediction(values: np.ndarray, labels: data.LabelNames) -> str | list[str]:
    if labels.task == data.MULTI_LABEL:
        return [name for name, value in zip(labels.names, values, strict=True) if value > 0.5]
    return labels.names[int(values.argmax())]


@contextlib.contextmanager
def _opened(output: str | None) -> Iterator[Any]:
    if output is None:
        yield sys.stdout
        return
    try:
        with pathlib.Path(output).open("w", newline="") as file:
            yield file
    except OSError as error:
        raise UserError(f"--output {output}: {error.strerror or error}") from error


if __name__ == "__main__":
    restart_with_huge_pages()
    main()

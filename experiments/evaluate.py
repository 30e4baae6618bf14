"""Metrics of a finished run on another set: `python -m experiments.evaluate RUN --data PATH`.

PATH is a folder of class folders, a table (.csv, .tsv, .parquet) or an .npz file; for a run on images with masks a folder or
an .npz file of both. Without it the run's own test split is read again, which its work directory records; with
`--split validation` its own validation split, by which to choose what to test.
"""

import json
import pathlib
from typing import Any

import numpy as np

from experiments import data
from experiments.data import layouts
from experiments.errors import Parser, UserError, exit_on_user_error
from experiments.huge_pages import restart_with_huge_pages

SPLITS = ("train", "validation", "test", "all")


@exit_on_user_error()
def main(arguments: list[str] | None = None) -> None:
    """Parses the flags, evaluates and prints."""
    parser = Parser(prog="python -m experiments.evaluate", description="Metrics of a run on a labelled set.")
    parser.add_argument("run", help="work directory of a finished run")
    parser.add_argument("--data", help="a folder, a table or an .npz file (default: the test split of the run)")
    parser.add_argument(
        "--split", choices=SPLITS, default="all", help="of --data (default: all of it); validation also of the run"
    )
    parser.add_argument("--batch_size", type=int, default=64)
    parser.add_argument(
        "--over_group", nargs="?", const="own", metavar="GROUP", help="average over a group (default: the network's)"
    )
    parser.add_argument("--over_seeds", action="store_true", help="average over the seeds of the run")
    parser.add_argument("--output", help="a .json file for the metrics")
    options = parser.parse_args(arguments)
    result = evaluate(
        options.run,
        options.data,
        split=options.split,
        batch_size=options.batch_size,
        over_group=options.over_group,
        over_seeds=options.over_seeds,
    )
    show(result)
    if options.output:
        _save(result, options.output)


def evaluate(
    run: str | pathlib.Path,
    path: str | None = None,
    *,
    split: str = "all",
    batch_size: int = 64,
    over_group: str | None = None,
    over_seeds: bool = False,
) -> dict[str, Any]:
    """Measures a finished run.

    Args:
      run: its work directory.
      path: of a labelled set; None for the run's own test split, or its validation split.
      split: of that set.
      batch_size: images at a time.
      over_group: the name of a group over which probabilities are averaged, or "own" for that of the network.
      over_seeds: average probabilities over the seeds of the run.

    Returns:
      `metrics`, `confusion_matrix`, `class_names` and what was measured, plain data.

    Raises:
      UserError: no finished run, a set that does not fit it, or its own training split.
    """
    from experiments.results import inputs
    from experiments.runs import load_seeds
    from experiments.trained.probabilities import averaging_group

    if batch_size < 1:
        raise UserError(f"--batch_size: expected a positive integer; got {batch_size}")
    if path is None and split == "train":
        raise UserError("--split train: expected the run's own validation or test split; got no --data; name a set")
    runs = load_seeds(run, all_seeds=over_seeds)
    first, reads = runs[0], None
    if over_group:
        averaging_group(first, over_group)  # Checked before the test split counts as read.
    by_pixel = first.labels.task == data.SEGMENTATION
    if path is None and split == "validation":
        sources: list[Any] = [first.load_data().validation]
    elif path is None:
        dataset, split = first.load_data(), "test"
        reads = inputs.count_test_read(first.workdir, "evaluate")
        sources = [dataset.test()]
    elif by_pixel:
        sources = masked_sources(path, split, first.preprocessing, first.labels)
    else:
        sources = [labelled_source(path, split, first.preprocessing, first.labels)]
    measured: dict[str, Any] = {"run": str(run), "data": path, "split": split, "test_reads": reads}
    measured |= {"over_group": over_group, "over_seeds": over_seeds}
    if by_pixel:
        measured |= _measure_masks(runs, sources, over_group)
    else:
        measured |= _measure_labels(runs, sources[0], batch_size, over_group)
    if path is None:
        inputs.keep_evaluation(first.workdir, measured)
    return measured


def _measure_masks(runs: list, sources: list[data.MaskedSource], over_group: str | None) -> dict[str, Any]:
    from experiments.results import metrics, segmentation
    from experiments.trained.probabilities import segmentation_function

    segment = segmentation_function(runs, over_group=over_group)
    scores = []
    for example in (source.example(index) for source in sources for index in range(len(source))):
        logits = metrics.logits_of(segment(example["image"]))
        scores.append(segmentation.score_image(logits, example["label"], detailed=True))
    joined, names = segmentation.ImageScores.joined(scores), runs[0].labels.names
    return {
        "num_images": len(joined),
        "metrics": segmentation.segmentation_metrics(joined, names),
        "confusion_matrix": joined.confusion.sum(axis=(0, 1)).tolist(),
        "class_names": list(names),
    }


def _measure_labels(runs: list, source: data.Source, batch_size: int, over_group: str | None) -> dict[str, Any]:
    from experiments.results import classification, metrics
    from experiments.trained.probabilities import probability_function

    function, names = probability_function(runs, over_group=over_group), runs[0].labels
    parts = [
        (function(batch["image"])[:count], batch["label"][:count])
        for batch, count in data.evaluation_batches(source, min(batch_size, len(source)))
    ]
    probabilities, labels = (np.concatenate(values) for values in zip(*parts, strict=True))
    logits = metrics.logits_of(probabilities, names.task)
    return {
        "num_images": len(labels),
        "metrics": classification.classification_metrics(logits, labels, names.task),
        "calibration_error": float(metrics.calibration_error(logits, labels)),
        "confusion_matrix": metrics.confusion_matrix(logits, labels).tolist(),
        "class_names": list(names.names),
    }


def labelled_source(
    path: str, split: str, preprocessing: data.Preprocessing, known: data.LabelNames
) -> data.PixelSource:
    """The images of a labelled set as a run reads them, with the run's numbers for its classes.

    Raises:
      UserError: no such set or split, or classes that the run does not know.
    """
    suffix = pathlib.Path(path).suffix
    lister = {".npz": layouts.list_npz, ".csv": layouts.list_table, ".tsv": layouts.list_table}.get(suffix)
    lister = layouts.list_table if suffix == ".parquet" else lister or layouts.list_folder
    return data.open_split(lister(path, known.task), split, preprocessing, known)


def masked_sources(
    path: str, split: str, preprocessing: data.Preprocessing, known: data.LabelNames
) -> list[data.MaskedSource]:
    """The images of a set with masks as a run reads them, one source for each split.

    Raises:
      UserError: no such set or split, or values of masks that the run does not know.
    """
    lister = layouts.list_masked_npz if pathlib.Path(path).suffix == ".npz" else layouts.list_masked_folder
    return data.open_masked_split(lister(path, known), split, preprocessing)


def show(result: dict[str, Any]) -> None:
    """Prints the metrics, and the confusion matrix of one class for each image."""
    average = f", averaged over {result['over_group']}" if result["over_group"] else ""
    where = result["data"] or f"its {result['split']} split"
    print(f"{result['run']} on {where}: {result['num_images']:,} images{average}")
    for name, metric in result["metrics"].items():
        if metric["value"] is not None:
            low, high = metric["interval"]
            print(f"  {name.replace('_', ' ')}: {metric['value']:.4f} (95 % interval {low:.4f} to {high:.4f})")
    if "calibration_error" in result:
        print(f"  calibration error: {result['calibration_error']:.4f}")
    if result["test_reads"]:
        print(f"  the test split of this run was read {result['test_reads']} times")
    matrix = np.asarray(result["confusion_matrix"])
    if matrix.ndim == 2:
        print("  confusion matrix, rows true, columns predicted:")
        for name, row in zip(result["class_names"], matrix, strict=True):
            print(f"    {' '.join(f'{count:6d}' for count in row)}  {name}")


def _save(result: dict[str, Any], output: str) -> None:
    try:
        pathlib.Path(output).write_text(json.dumps(result, indent=2) + "\n")
    except OSError as error:
        raise UserError(f"--output {output}: {error.strerror or error}") from error


if __name__ == "__main__":
    restart_with_huge_pages()
    main()

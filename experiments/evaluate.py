"""Metrics of a finished run on another set: `python -m experiments.evaluate RUN --data PATH`.

PATH is a folder of class folders, a table (.csv, .tsv, .parquet) or an .npz file; without it the run's own test split is
read again, which its work directory records.
"""

import json
import pathlib
from typing import Any

import numpy as np

from experiments import data
from experiments.data import layouts
from experiments.errors import Parser, UserError, exit_on_user_error

SPLITS = ("train", "validation", "test", "all")


@exit_on_user_error()
def main(arguments: list[str] | None = None) -> None:
    """Parses the flags, evaluates and prints."""
    parser = Parser(prog="python -m experiments.evaluate", description="Metrics of a run on a labelled set.")
    parser.add_argument("run", help="work directory of a finished run")
    parser.add_argument("--data", help="a folder, a table or an .npz file (default: the test split of the run)")
    parser.add_argument("--split", choices=SPLITS, default="all", help="of --data (default: all of it)")
    parser.add_argument("--batch_size", type=int, default=64)
    parser.add_argument("--over_group", action="store_true", help="average over the elements of the network's group")
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
    over_group: bool = False,
    over_seeds: bool = False,
) -> dict[str, Any]:
    """Measures a finished run.

    Args:
      run: its work directory.
      path: of a labelled set; None for the run's own test split.
      split: of that set.
      batch_size: images at a time.
      over_group: average probabilities over the group.
      over_seeds: average probabilities over the seeds of the run.

    Returns:
      `metrics`, `confusion_matrix`, `class_names` and what was measured, plain data.

    Raises:
      UserError: no finished run, or a set that does not fit it.
    """
    from experiments.results import inputs
    from experiments.runs import load_seeds
    from experiments.trained.probabilities import probability_function

    if batch_size < 1:
        raise UserError(f"--batch_size: expected a positive integer; got {batch_size}")
    runs = load_seeds(run, all_seeds=over_seeds)
    first, reads = runs[0], None
    if path is None:
        dataset = first.load_data()
        reads = inputs.count_test_read(first.workdir, "evaluate")
        source = dataset.test()
    else:
        source = labelled_source(path, split, first.preprocessing, first.labels)
    function = probability_function(runs, over_group=over_group)
    parts = [
        (function(batch["image"])[:count], batch["label"][:count])
        for batch, count in data.evaluation_batches(source, min(batch_size, len(source)))
    ]
    probabilities, labels = (np.concatenate(values) for values in zip(*parts, strict=True))
    measured = {"run": str(run), "data": path, "split": split if path else "test", "test_reads": reads}
    return measured | _measure(probabilities, labels, first.labels)


def _measure(probabilities: np.ndarray, labels: np.ndarray, names: data.LabelNames) -> dict[str, Any]:
    from experiments.results import classification, metrics

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


def show(result: dict[str, Any]) -> None:
    """Prints the metrics, and the confusion matrix of one class for each image."""
    print(f"{result['run']} on {result['data'] or 'its test split'}: {result['num_images']:,} images")
    for name, metric in result["metrics"].items():
        if metric["value"] is not None:
            low, high = metric["interval"]
            print(f"  {name.replace('_', ' ')}: {metric['value']:.4f} (95 % interval {low:.4f} to {high:.4f})")
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
    main()

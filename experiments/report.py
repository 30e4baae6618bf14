"""Collects finished runs into a table: `python -m experiments.report [--runs DIR] [--output FILE]`.

Every number comes from a summary.json; published numbers come from `gequi_jax.models`. The runs of a folder that differ only
in their seeds are one row, named after the folder. The page keeps rows of runs that are not in the directory, such as those
of other machines, and everything below the mark at its end, which is written by hand.
"""

import json
import pathlib
import shlex
import statistics
from collections.abc import Sequence
from typing import Any

from experiments.config import Config, rows, saved
from experiments.errors import Parser, UserError, exit_on_user_error
from experiments.results import comparison, summary
from gequi_jax import models

OUTPUT = pathlib.Path(__file__).parent / "RESULTS.md"
HEADER = """\
# Results

Written by `python -m experiments.report` from the summaries of finished runs. Accuracy and error are in percent. The epoch is
selected on the validation split, and the test split is read once. The published numbers on rotated MNIST and CIFAR-10 are
from code that selects the epoch on the test set. "Largest change" is the largest relative change of the logits of test images
under the elements of the group that preserve the grid, after training. A run marked "short" had fewer epochs or training
images than its row of the table, and is not comparable with published numbers. "Score" is the mean of the metric that selects
the epoch, where that is not the accuracy, and its standard deviation over seeds.
"""
DIFFERENCES = """\
## Differences

Welch's t-test over seeds: the second run minus the first, its 95 % interval, and the two-sided p-value, which is not corrected
for the number of comparisons.
"""
DIFFERENCE_COLUMNS = ("first run", "second run", "metric", "seeds", "difference", "interval", "p")
SHORT = " (short)"
REMARKS = "<!-- remarks, kept by the program -->"
COLUMNS = (
    "run",
    "data",
    "published accuracy",
    "test accuracy",
    "test error",
    "score",
    "seeds",
    "parameters",
    "published",
    "epochs",
    "training images",
    "largest change",
    "hardware",
    "hours",
    "commit",
)


@exit_on_user_error()
def main(arguments: list[str] | None = None) -> None:
    """Writes the table."""
    parser = Parser(description="Collects finished runs into a table.")
    parser.add_argument("--runs", default="runs", help="a directory that contains work directories, at any depth")
    parser.add_argument("--output", default=str(OUTPUT), help="the page")
    parser.add_argument(
        "--record", metavar="RUN", help="record a finished run as the baseline that other summaries quote"
    )
    options = parser.parse_args(arguments)
    output = pathlib.Path(options.output)
    try:
        if options.record:
            print(f"recorded in {record(pathlib.Path(options.record))}")
            return
        runs = merge_seeds(collect(pathlib.Path(options.runs)))
        page, _, remarks = output.read_text().partition(REMARKS) if output.exists() else ("", "", "")
        output.write_text(f"{render(runs, page)}\n{REMARKS}\n{remarks.lstrip()}")
        print(f"{len(runs)} runs written to {output}")
    except OSError as error:
        raise UserError(f"{output} cannot be written ({error.strerror})") from error


def collect(folder: pathlib.Path) -> dict[str, dict[str, Any]]:
    """The summaries of all finished runs below a directory, by the path of the work directory.

    Raises:
      UserError: it contains no finished run.
    """
    paths = sorted(folder.rglob(summary.FILE)) if folder.is_dir() else []
    summaries = {str(path.parent.relative_to(folder)): summary.load(path.parent) for path in paths}
    runs = {name: result for name, result in summaries.items() if result is not None}
    if not runs:
        raise UserError(
            f"--runs: expected finished runs below {str(folder)!r}; got no {summary.FILE}; choose another directory"
        )
    return runs


def merge_seeds(runs: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Merges the runs of a folder that differ only in their seeds into one run with the name of the folder.

    Args:
      runs: summaries by the path of the work directory.

    Returns:
      Summaries by name.
    """
    alike: dict[tuple[str, str], dict[str, dict[str, Any]]] = {}
    for name, result in runs.items():
        same = {field: value for field, value in result["config"].items() if field not in ("seed", "num_seeds")}
        counts = [result[field] for field in ("model", "dataset", "epochs", "num_train")]
        alike.setdefault((str(pathlib.PurePath(name).parent), json.dumps([same, counts])), {})[name] = result
    merged = {}
    for (folder, _), members in alike.items():
        seeds = [seed for result in members.values() for seed in result["seeds"]]
        if len(members) == 1 or folder == "." or len(set(seeds)) < len(seeds) or folder in merged:
            merged |= members
        else:
            merged[folder] = _merged(sorted(members.values(), key=lambda result: result["seeds"]))
    return merged


def _merged(results: list[dict[str, Any]]) -> dict[str, Any]:
    accuracies = [accuracy for result in results for accuracy in result["test_accuracy_by_seed"]]
    changes = [result["equivariance"] for result in results if result.get("equivariance")]
    commits = sorted({result["environment"]["commit"] or "" for result in results})
    return {
        **results[0],
        "seeds": [seed for result in results for seed in result["seeds"]],
        "separate_seeds": True,
        "test_accuracy": statistics.mean(accuracies),
        "test_accuracy_by_seed": accuracies,
        "test_accuracy_std": statistics.stdev(accuracies),
        "test_metrics_by_seed": [result["test_metrics"] for result in results if result.get("test_metrics")],
        "equivariance": max(changes, key=lambda change: max(change["relative"]), default=None),
        "seconds": sum(result["seconds"] for result in results),
        "environment": {**results[0]["environment"], "commit": ", ".join(filter(None, commits))},
    }


def record(workdir: pathlib.Path) -> pathlib.Path:
    """Records a finished run as a baseline, with the command that repeats it.

    Raises:
      UserError: no finished run.
    """
    result = summary.load(workdir)
    if result is None:
        raise UserError(f"--record: expected a finished run in {str(workdir)!r}; got no {summary.FILE}")
    path = summary.RECORDED / f"{result['model']}.json"
    path.parent.mkdir(exist_ok=True)
    baseline = {**summary.comparison(result), "commit": result["environment"]["commit"], "command": command(result)}
    path.write_text(json.dumps(baseline, indent=2) + "\n")
    return path


def command(result: dict[str, Any]) -> str:
    """The shortest command that repeats a finished run, with PATH for the folder or file of the data.

    For merged runs it is a loop over the seeds.
    """
    source, fields = _source(result["config"], result["model"])
    separate = "separate_seeds" in result
    words = ["python -m experiments.main", *([f"--config {source}"] if source != "default" else [])]
    words += [_flag(name, value) for name, value in fields.items() if not (separate and name == "seed")]
    if not separate:
        return " ".join(words)
    seeds = " ".join(str(seed) for seed in result["seeds"])
    folder = source.replace(":", "_") if source != "default" else result["model"]
    return f"for seed in {seeds}; do {' '.join(words)} --config.seed=$seed --workdir runs/{folder}/seed_$seed; done"


def _source(config: dict[str, Any], model: str) -> tuple[str, dict[str, Any]]:
    """The row, or "default", from which a configuration has the fewest changes, and those changes."""
    named = [model] if rows.find(model) not in (None, rows.find("default")) else []
    of_model = [name for name in rows.names() if (row := rows.find(name)) and row.settings.get("model") == model]
    changes = {name: saved.changes(config, name) for name in [*named, "default", *of_model]}

    def count(name: str) -> int:
        return sum(len(value) if isinstance(value, dict) else 1 for value in changes[name].values())

    source = min(changes, key=count)
    if "data_dir" in changes[source]:
        changes[source]["data_dir"] = "PATH"
    return source, changes[source]


def _row(model: str) -> Config | None:
    """The configuration of the row of a model, or None."""
    row = rows.find(model)
    return None if row is None else rows.config_of(row)


def _flag(name: str, value: Any) -> str:
    if isinstance(value, dict):
        return " ".join(_flag(f"{name}.{key}", inner) for key, inner in value.items())
    if isinstance(value, list):
        words = bool(value) and all(isinstance(item, str) for item in value)
        value = ",".join(value) if words else str(tuple(value)).replace(" ", "")
    return shlex.quote(f"--config.{name}={value}")


def render(runs: dict[str, dict[str, Any]], page: str = "") -> str:
    """The page: a table with one row for each run, grouped by data set.

    Args:
      runs: summaries by name.
      page: the present page, whose other rows are kept.
    """
    lines, commands, compared = _entries(page)
    # The rows of single seeds that are merged now are dropped.
    lines = {name: line for name, line in lines.items() if str(pathlib.PurePath(name).parent) not in runs}
    lines |= {name: _line(name, result) for name, result in runs.items()}
    commands = {name: line for name, line in commands.items() if name in lines}
    commands |= {name: f"- {name}: `{command(result)}`" for name, result in runs.items()}
    # Of two runs that are here, the differences are new.
    compared = {pair: row for pair, row in compared.items() if {*pair} <= {*lines} and not {*pair} <= {*runs}}
    compared |= {pair: _difference_cells(pair, found) for pair, found in comparison.differences(runs).items()}
    table = _table(COLUMNS, [lines[name] for name in sorted(lines, key=lambda name: (lines[name][1], name))])
    order = [commands[name] for name in sorted(commands)]
    sections = [HEADER, *table, ""]
    if compared:
        sections += [DIFFERENCES, *_table(DIFFERENCE_COLUMNS, [compared[pair] for pair in sorted(compared)]), ""]
    return "\n".join([*sections, "Commands that repeat them:", "", *order, ""])


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    return [
        "| " + " | ".join(columns) + " |",
        "|" + "---|" * len(columns),
        *("| " + " | ".join(row) + " |" for row in rows),
    ]


def _entries(page: str) -> tuple[dict[str, list[str]], dict[str, str], dict[tuple[str, str], list[str]]]:
    """The rows of the table of a page and its commands by the name of the run, and its differences by two names."""
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in page.splitlines() if line.startswith("| ")]
    lines = {row[0].removesuffix(SHORT): row for row in cells if len(row) == len(COLUMNS) and row[0] != COLUMNS[0]}
    commands = {line[2:].split(": ")[0]: line for line in page.splitlines() if line.startswith("- ")}
    compared = {
        (row[0], row[1]): row
        for row in cells
        if len(row) == len(DIFFERENCE_COLUMNS) and row[0] != DIFFERENCE_COLUMNS[0]
    }
    return lines, commands, compared


def is_short(result: dict[str, Any]) -> bool:
    """Whether a run had fewer epochs or images than the row of its model, if there is one."""
    row = _row(result["model"])
    cut = ("num_train", "downscale")
    return row is not None and (
        result["epochs"] < row.num_epochs or any(result["config"].get(name, row[name]) != row[name] for name in cut)
    )


def _line(name: str, result: dict[str, Any]) -> list[str]:
    info = models.model_info(result["model"])
    accuracy = 100 * result["test_accuracy"]
    deviation = result["test_accuracy_std"]
    spread = "" if deviation is None else f" ± {100 * deviation:.2f}"
    environment = result["environment"]
    changes = result.get("equivariance")
    return [
        f"{name}{SHORT if is_short(result) else ''}",
        result["dataset"],
        "" if info.reported_metric is None else f"{info.reported_metric:g}",
        f"{accuracy:.2f}{spread}",
        f"{100 - accuracy:.2f}{spread}",
        _score(result),
        str(len(result["seeds"])),
        f"{result['parameters']:,}",
        "" if info.reported_params is None else f"{info.reported_params:,}",
        str(result["epochs"]),
        f"{result['num_train']:,}",
        "" if changes is None else f"{max(changes['relative']):.1e} ({changes['group']})",
        f"{environment['num_devices']} x {environment['device']}",
        f"{result['seconds'] / 3600:.2f}",
        environment["commit"] or "",
    ]


def _score(result: dict[str, Any]) -> str:
    metric = comparison.metric_of(result)
    if metric == "accuracy":
        return ""
    values = comparison.scores(result, metric)
    spread = f" ± {statistics.stdev(values):.4f}" if len(values) > 1 else ""
    return f"{metric} {statistics.fmean(values):.4f}{spread}"


def _difference_cells(pair: tuple[str, str], found: comparison.Difference) -> list[str]:
    low, high = f"{found.low:+.4f}", f"{found.high:+.4f}"
    seeds = "{} and {}".format(*found.seeds)
    return [*pair, found.metric, seeds, f"{found.mean:+.4f}", f"{low} to {high}", f"{found.p:.2g}"]


if __name__ == "__main__":
    main()

"""Collects finished runs into a table: `python -m experiments.report [--runs DIR] [--output FILE]`.

Every number comes from a summary.json that a run has written; published numbers come from `gequi_jax.models`.
"""

import argparse
import json
import pathlib
from typing import Any

from experiments import command_line, settings, summary
from experiments.errors import UserError
from gequi_jax import models

OUTPUT = pathlib.Path(__file__).parent / "RESULTS.md"
HEADER = """\
# Results

Made by `python -m experiments.report` from the summaries of finished runs. Accuracy and error are in percent. The epoch
is chosen on the validation split and the test split is read once; the published numbers on rotated MNIST and CIFAR-10
come from codes that choose the epoch on the test set. "Largest change" is the largest relative change of the logits of
real test images under the elements of the group that preserve the grid, after training. A run is marked "short" where it
had fewer epochs or training images than its configuration, and then compares with nothing published.
"""
COLUMNS = (
    "run",
    "data",
    "published accuracy",
    "test accuracy",
    "test error",
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


def main(arguments: list[str] | None = None) -> None:
    """Writes the table."""
    parser = argparse.ArgumentParser(description="Collects finished runs into a table.")
    parser.add_argument("--runs", default="runs", help="a directory with work directories in it, at any depth")
    parser.add_argument("--output", default=str(OUTPUT))
    parser.add_argument("--record", metavar="RUN", help="keep a finished run for the summaries of others to quote")
    options = parser.parse_args(arguments)
    try:
        if options.record:
            print(f"recorded in {record(pathlib.Path(options.record))}")
            return
        runs = collect(pathlib.Path(options.runs))
        pathlib.Path(options.output).write_text(render(runs))
        print(f"{len(runs)} runs in {options.output}")
    except UserError as error:
        command_line.fail(error)
    except OSError as error:
        command_line.fail(UserError(f"{options.output} cannot be written ({error.strerror})"))


def collect(folder: pathlib.Path) -> dict[str, dict[str, Any]]:
    """The summaries of all finished runs below a directory, by the path of their work directory.

    Raises:
      UserError: no finished run there.
    """
    paths = sorted(folder.rglob(summary.FILE)) if folder.is_dir() else []
    found = {str(path.parent.relative_to(folder)): summary.load(path.parent) for path in paths}
    runs = {name: result for name, result in found.items() if result is not None}
    if not runs:
        raise UserError(f"no finished run (no {summary.FILE}) below {str(folder)!r}; name another place with --runs")
    return runs


def record(workdir: pathlib.Path) -> pathlib.Path:
    """Keeps what the summaries of other runs quote of a finished run, with the command that repeats it.

    Raises:
      UserError: no finished run there.
    """
    result = summary.load(workdir)
    if result is None:
        raise UserError(f"no finished run (no {summary.FILE}) in {str(workdir)!r}")
    fields = settings.changes(result["config"], "default")
    command = " ".join(["python -m experiments.main", *(_flag(name, value) for name, value in fields.items())])
    path = summary.RECORDED / f"{result['model']}.json"
    path.parent.mkdir(exist_ok=True)
    kept = {**summary.comparison(result), "commit": result["environment"]["commit"], "command": command}
    path.write_text(json.dumps(kept, indent=2) + "\n")
    return path


def _flag(name: str, value: Any) -> str:
    if isinstance(value, dict):
        return " ".join(_flag(f"{name}.{key}", inner) for key, inner in value.items())
    return f"--config.{name}={','.join(map(str, value)) if isinstance(value, list) else value}"


def render(runs: dict[str, dict[str, Any]]) -> str:
    """The page: a table with a line for each run, grouped by data set."""
    lines = [_line(name, runs[name]) for name in sorted(runs, key=lambda name: (runs[name]["dataset"], name))]
    table = ["| " + " | ".join(COLUMNS) + " |", "|" + "---|" * len(COLUMNS)]
    table += ["| " + " | ".join(line) + " |" for line in lines]
    return HEADER + "\n" + "\n".join(table) + "\n"


def is_short(result: dict[str, Any]) -> bool:
    """Whether a run was cut down against the configuration of its row, where it has one."""
    try:
        row = command_line.load_config(result["model"])
    except UserError:
        return False
    return result["epochs"] < row.num_epochs or result["config"]["num_train"] != row.num_train


def _line(name: str, result: dict[str, Any]) -> list[str]:
    info = models.model_info(result["model"])
    accuracy = 100 * result["test_accuracy"]
    deviation = result["test_accuracy_std"]
    spread = "" if deviation is None else f" ± {100 * deviation:.2f}"
    environment = result["environment"]
    changes = result.get("equivariance")
    return [
        f"{name}{' (short)' if is_short(result) else ''}",
        result["dataset"],
        "" if info.reported_metric is None else f"{info.reported_metric:g}",
        f"{accuracy:.2f}{spread}",
        f"{100 - accuracy:.2f}{spread}",
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


if __name__ == "__main__":
    main()

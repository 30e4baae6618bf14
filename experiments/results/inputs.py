"""What a work directory records about the data: preprocessing, classes, how often the test split was read, later results."""

import dataclasses
import json
import pathlib
import time
from typing import Any

from experiments import data
from experiments.config import Config
from experiments.errors import UserError
from experiments.trained import build

FILE = "preprocessing.json"
TEST_READS = "test_reads.jsonl"
EVALUATIONS = "evaluations.jsonl"


def remember(dataset: data.Dataset, workdir: pathlib.Path) -> None:
    """Writes preprocessing.json.

    Raises:
      UserError: the run began with images that were read otherwise, since its data have changed.
    """
    path = workdir / FILE
    plain = json.loads(json.dumps(_plain(dataset)))
    if path.exists():
        began = json.loads(path.read_text())
        changed = next((name for name in plain if began.get(name) != plain[name]), None)
        if changed is not None:
            raise UserError(
                f"the data of {workdir} have changed: {changed} was {began.get(changed)}, now {plain[changed]}; "
                "restore the images, or choose another --workdir"
            )
        return
    temporary = path.with_suffix(".tmp")
    temporary.write_text(json.dumps(plain, indent=2) + "\n")
    temporary.replace(path)


def recall(workdir: pathlib.Path, config: Config) -> tuple[data.Preprocessing, data.LabelNames]:
    """How the images of a run are read, and its classes; a run of an earlier version has said neither.

    Raises:
      UserError: preprocessing.json is missing or damaged.
    """
    path = workdir / FILE
    if not path.exists():
        return _of_earlier_version(config)
    try:
        plain = json.loads(path.read_text())
        names = {field.name for field in dataclasses.fields(data.Preprocessing)}
        known: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in plain.items() if name in names
        }
        return data.Preprocessing(**known), data.LabelNames(tuple(plain["class_names"]), plain["task"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path} cannot be read ({error}); train the run again") from error


def task_of(workdir: pathlib.Path) -> str | None:
    """The task of a run, or None where its directory does not say."""
    try:
        return json.loads((workdir / FILE).read_text()).get("task")
    except (OSError, ValueError, AttributeError):
        return None


def count_test_read(workdir: pathlib.Path, command: str) -> int:
    """Records that the test split is about to be read, and returns how often it was, this time included."""
    path = workdir / TEST_READS
    with path.open("a") as file:
        file.write(json.dumps({"command": command, "time": round(time.time(), 3)}) + "\n")
    return test_reads(workdir)


def test_reads(workdir: pathlib.Path) -> int:
    """How often the commands on a work directory have read its test split."""
    path = workdir / TEST_READS
    return len(path.read_text().splitlines()) if path.exists() else 0


def keep_evaluation(workdir: pathlib.Path, measured: dict[str, Any]) -> None:
    """Appends the metrics that a finished run has on one of its own splits, without their intervals.

    Raises:
      UserError: the directory cannot be written.
    """
    kept = {name: measured[name] for name in ("split", "over_group", "over_seeds", "num_images")}
    kept["metrics"] = {name: metric["value"] for name, metric in measured["metrics"].items()}
    path = workdir / EVALUATIONS
    try:
        with path.open("a") as file:
            file.write(json.dumps(kept) + "\n")
    except OSError as error:
        raise UserError(f"{path} cannot be written ({error.strerror}); evaluate a copy of the run") from error


def evaluations(workdir: pathlib.Path) -> list[dict[str, Any]]:
    """What `keep_evaluation` has kept."""
    path = workdir / EVALUATIONS
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def _of_earlier_version(config: Config) -> tuple[data.Preprocessing, data.LabelNames]:
    *sizes, channels = build.image_shape(config)
    dtype, value_range = ("float32", (0.0, 1.0)) if config.dataset == "digits" else ("uint8", (0.0, 255.0))
    sizes = tuple(size * config.downscale for size in sizes)
    preprocessing = data.Preprocessing(sizes, channels, "crop", dtype, value_range, downscale=config.downscale)
    return preprocessing, data.LabelNames(tuple(map(str, range(build.num_classes(config)))), data.CLASSES)


def _plain(dataset: data.Dataset) -> dict[str, object]:
    if dataset.preprocessing is None or dataset.labels is None:
        raise ValueError("dataset: expected one that load_dataset has measured")
    described = dataclasses.asdict(dataset.preprocessing)
    return {**described, "class_names": dataset.labels.names, "task": dataset.labels.task}

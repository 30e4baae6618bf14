"""The recorded runs in experiments/recorded, one JSON file each: what the page of results and other summaries quote."""

import json
import pathlib
import shutil
from collections.abc import Mapping
from typing import Any

from experiments.config import Config
from experiments.results import summary

FOLDER = pathlib.Path(__file__).parents[1] / "recorded"


def save(records: Mapping[str, Mapping[str, Any]], folder: pathlib.Path) -> None:
    """Writes records by name, in place of earlier ones of the same name, and of those of single seeds that it merges.

    Args:
      records: as of `collecting.record_of`; a name may be a path.
      folder: where they lie.
    """
    for name in records:
        shutil.rmtree(folder / name, ignore_errors=True)
    for name, record in records.items():
        path = folder / f"{name}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(record, indent=2) + "\n")


def load(folder: pathlib.Path) -> dict[str, dict[str, Any]]:
    """The records below a folder by name."""
    return {
        str(path.relative_to(folder).with_suffix("")): json.loads(path.read_text())
        for path in sorted(folder.rglob("*.json"))
    }


def baseline(config: Config) -> dict[str, Any] | None:
    """The part that a summary quotes of the recorded run of the network without the group, or None if there is none.

    It is on the same data set at the same size; of several, the one with the most images, epochs and seeds.
    """
    alike = [
        record
        for record in load(FOLDER).values()
        if record["model"] == config.z2_model
        and record["config"]["dataset"] == config.dataset
        and record["config"].get("downscale", 1) == config.downscale
    ]
    if not alike:
        return None
    record = max(alike, key=lambda record: (record["num_train"], record["epochs"], len(record["seeds"])))
    return {
        **summary.comparison(record),
        "commit": record["environment"]["commit"],
        "command": record["command"],
    }

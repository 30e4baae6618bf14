"""summary.json of a finished run."""

import json
import pathlib
from typing import Any

FILE = "summary.json"
_COMPARED = (
    "model",
    "dataset",
    "epochs",
    "parameters",
    "test_accuracy",
    "test_accuracy_interval",
    "quarter_turn_accuracy",
)


def save(result: dict[str, Any], workdir: pathlib.Path) -> None:
    """Writes summary.json atomically."""
    temporary = workdir / f"{FILE}.tmp"
    temporary.write_text(json.dumps(result, indent=2) + "\n")
    temporary.replace(workdir / FILE)


def load(workdir: pathlib.Path) -> dict[str, Any] | None:
    """The summary of a finished run, or None."""
    try:
        return json.loads((workdir / FILE).read_text())
    except (OSError, json.JSONDecodeError):
        return None


def comparison(result: dict[str, Any]) -> dict[str, Any]:
    """The part of a summary that the summary of another run quotes."""
    return {**{name: result.get(name) for name in _COMPARED}, "seed": result["seeds"][0]}

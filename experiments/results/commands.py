"""The shortest command that repeats a finished run."""

import shlex
from typing import Any

from experiments.config import rows, saved


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


def _flag(name: str, value: Any) -> str:
    if isinstance(value, dict):
        return " ".join(_flag(f"{name}.{key}", inner) for key, inner in value.items())
    if isinstance(value, list):
        words = bool(value) and all(isinstance(item, str) for item in value)
        value = ",".join(value) if words else str(tuple(value)).replace(" ", "")
    return shlex.quote(f"--config.{name}={value}")

"""config.json in a work directory: which run the directory holds, and whether a configuration continues it."""

import json
import pathlib
from typing import Any

import ml_collections

from experiments.config import schema
from experiments.config._typing import Config
from experiments.config.loading import load_config
from experiments.errors import UserError

FILE = "config.json"
_FROM_DATA = ("input_shape", "num_classes")


def check_continues(config: Config, workdir: pathlib.Path) -> None:
    """Compares a configuration with the one saved in a work directory, if there is one.

    Raises:
      UserError: the directory holds a run with another configuration, or cannot be used.
    """
    path = workdir / FILE
    try:
        if path.exists():
            _check_same(as_plain(config), as_plain(from_plain(json.loads(path.read_text()))), workdir)
    except OSError as error:
        raise _unusable(workdir, error) from error
    except json.JSONDecodeError as error:
        raise UserError(
            f"{path}: expected JSON; got {error}; choose another --workdir, or remove this directory"
        ) from error


def save(config: Config, workdir: pathlib.Path) -> None:
    """Writes config.json. From then on the directory belongs to this run.

    Raises:
      UserError: the directory cannot be written.
    """
    path = workdir / FILE
    temporary = path.with_suffix(".tmp")
    try:
        temporary.write_text(json.dumps(as_plain(config), indent=2) + "\n")
        temporary.replace(path)
    except OSError as error:
        raise _unusable(workdir, error) from error


def from_plain(values: dict[str, Any]) -> Config:
    """The configuration that a run of this or an earlier version has saved; missing fields get their defaults."""
    config: Config = ml_collections.ConfigDict(as_plain(schema.default_config()) | values)
    return config


def as_plain(config: Config) -> dict[str, Any]:
    """The configuration as JSON returns it: lists in place of tuples."""
    return json.loads(json.dumps(config.to_dict()))


def changes(values: dict[str, Any], source: str) -> dict[str, Any]:
    """The fields in which a saved configuration differs from a row or a file, leaving out fields that no longer exist.

    Of a dictionary, only the entries that differ.
    """
    reference = as_plain(load_config(source))
    changed = {name: values[name] for name in reference if name in values and values[name] != reference[name]}
    return {
        name: _different(value, reference[name]) if isinstance(value, dict) else value
        for name, value in changed.items()
    }


def _different(entries: dict[str, Any], reference: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in entries.items() if key not in reference or reference[key] != value}


def _check_same(given: dict[str, Any], saved: dict[str, Any], workdir: pathlib.Path) -> None:
    # The network's sizes that came from the data when the run began.
    from_data = {
        name: saved["model_overrides"][name] for name in _FROM_DATA if name in saved.get("model_overrides", {})
    }
    given = given | {"model_overrides": from_data | given["model_overrides"]}
    for name in [*given, *saved]:
        if name not in schema.FREE_ON_RESUME and given.get(name) != saved.get(name):
            raise UserError(
                f"{workdir} holds a run with {name}={saved.get(name)}; got {name}={given.get(name)}; choose another "
                "--workdir, or use the same settings to resume; nothing was changed"
            )


def _unusable(workdir: pathlib.Path, error: OSError) -> UserError:
    return UserError(f"work directory {workdir} cannot be used ({error.strerror}); choose another")

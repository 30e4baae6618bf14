"""A configuration from its name: a row of a table, or a Python file with `get_config()`."""

import importlib.util
import pathlib
from types import ModuleType

import ml_collections

from experiments.config import rows
from experiments.config._typing import Config
from experiments.config.schema import FIELDS
from experiments.errors import UserError, did_you_mean

# Before rows had names, each was a file of this folder; commands that name such a file still work.
_FORMER_FOLDER = "configs"


def load_config(source: str) -> Config:
    """Loads the configuration of a row, or of a file.

    Args:
      source: DATASET:ROW, the name of a model with a row, "default", or the path of a Python file with get_config().

    Raises:
      UserError: no such row or file, no `get_config`, an error inside it, or other fields than those of the schema.
    """
    path = pathlib.Path(source)
    try:
        is_file, exists = path.is_file(), path.exists()
    except (OSError, ValueError) as error:
        raise UserError(f"--config={source}: expected the name of a row or a file; got {error}") from error
    if is_file:
        return _load_file(path)
    row = None if exists else rows.find(_row_name(path))
    if row is None:
        hint = did_you_mean(path.stem, [*rows.names(), *(name.replace(":", "_") for name in rows.names())])
        raise UserError(
            f"--config {source!r}: expected DATASET:ROW or a Python file with get_config(); got neither{hint}"
        )
    return rows.config_of(row)


def default_workdir(source: str) -> pathlib.Path:
    """The work directory of a configuration for which the command names none."""
    return pathlib.Path("runs") / pathlib.Path(source).stem.replace(":", "_")


def _row_name(path: pathlib.Path) -> str:
    is_former_file = path.suffix == ".py" and path.parent.name == _FORMER_FOLDER
    return path.stem if is_former_file else str(path)


def _load_file(path: pathlib.Path) -> Config:
    module = _execute(path)
    if not callable(getattr(module, "get_config", None)):
        raise UserError(f"config file {path}: expected a function get_config(); got none")
    try:
        config = module.get_config()
    except (Exception, SystemExit) as error:
        raise UserError(f"get_config() of {path} failed: {type(error).__name__}: {error}") from error
    if not isinstance(config, ml_collections.ConfigDict):
        raise UserError(f"get_config() of {path}: expected an ml_collections.ConfigDict; got a {type(config).__name__}")
    _check_fields(config, path)
    return config


def _execute(path: pathlib.Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"config_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise UserError(f"config file {path}: expected a Python file with get_config(); got another kind of file")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        raise UserError(f"config file {path} failed: {type(error).__name__}: {error}") from error
    return module


def _check_fields(config: Config, path: pathlib.Path) -> None:
    for name in config:
        if name not in FIELDS:
            raise UserError(
                f"config file {path}: expected a field of the schema; got {name!r}{did_you_mean(name, FIELDS)}"
            )
    for name, field in FIELDS.items():
        if name not in config:
            raise UserError(
                f"config file {path}: expected every field; got none named {name!r}; "
                "start from experiments.config.default_config()"
            )
        default = ml_collections.ConfigDict() if isinstance(field.default, dict) else field.default
        kinds = (float, int) if isinstance(default, float) else (type(default),)
        value = config[name]
        if not isinstance(value, kinds) or isinstance(value, bool) != isinstance(default, bool):
            raise UserError(
                f"config file {path}: {name}: expected a value of type {type(default).__name__}; "
                f"got {value!r} ({type(value).__name__})"
            )

"""Flags to a configuration: `--config FILE`, `--config.KEY=VALUE`, `--workdir DIR`.

absl's flags answer a mistake with several lines and a list of flags; here every mistake is one `UserError`.
"""

import ast
import dataclasses
import difflib
import importlib.util
import pathlib
import warnings
from typing import Any

import ml_collections

from experiments.config import default_config
from experiments.config._typing import Config
from experiments.errors import UserError

ADDRESS_FLAGS = ("--coordinator_address", "--num_processes", "--process_id")
CONFIGS = pathlib.Path(__file__).parent / "rows"

USAGE = """\
usage: python -m experiments.main [--config FILE] [--config.KEY=VALUE ...] [--workdir DIR]

Trains a network of gequi_jax and writes everything about the run to the work directory.
The same command again resumes an interrupted run; a finished run says so.

  --config FILE         a file with get_config(), or the name of one in experiments/config/rows
                        (default: an attentive p4 network on scikit-learn's digits)
  --config.KEY=VALUE    override one field, e.g. --config.num_epochs=5 --config.augmentation=random_rotation
                        --config.model_overrides.KEY=VALUE reaches the network's own arguments
  --workdir DIR         where the run lives (default: runs/NAME_OF_THE_CONFIG)
  --distributed         one process of several, found by JAX (SLURM, TPU, ...); or, with addresses given by hand:
  --coordinator_address HOST:PORT --num_processes N --process_id I
  --help                this text and the fields of the configuration
"""


@dataclasses.dataclass(frozen=True)
class Distributed:
    """Addresses of a run on several processes; None where JAX is to find them."""

    coordinator_address: str | None = None
    num_processes: int | None = None
    process_id: int | None = None


@dataclasses.dataclass(frozen=True)
class Command:
    """What the command line asks for."""

    config: Config
    workdir: pathlib.Path
    help: bool = False
    distributed: Distributed | None = None


def parse(arguments: list[str]) -> Command:
    """Reads the arguments after the program's name.

    Args:
      arguments: `sys.argv[1:]`.

    Returns:
      The configuration with its overrides applied, and the work directory.

    Raises:
      UserError: an unknown flag or field, a missing or wrong value, or a file that is no configuration.
    """
    source, workdir, overrides, wants_help = "default", None, [], False
    distributed: dict[str, Any] | None = None
    given: dict[str, str] = {}
    remaining = list(arguments)
    while remaining:
        argument = remaining.pop(0)
        flag, has_value, value = argument.partition("=")
        if argument in ("-h", "--help"):
            wants_help = True
            continue
        if argument == "--distributed":
            distributed = distributed or {}
            continue
        if flag not in ("--config", "--workdir", *ADDRESS_FLAGS) and not flag.startswith("--config."):
            raise UserError(
                f"unknown argument {argument!r}; expected --config, --config.KEY=VALUE, --workdir or --help"
            )
        if not has_value:
            if not remaining or remaining[0].startswith("--"):
                raise UserError(f"{flag} needs a value, as in {flag}=VALUE")
            value = remaining.pop(0)
        if flag in given:
            raise UserError(f"{flag} was given twice, as {given[flag]!r} and as {value!r}; keep one")
        if "\0" in value:
            raise UserError(f"{flag}={value!r} holds a null character")
        given[flag] = value
        if flag == "--config":
            source = value
        elif flag == "--workdir":
            workdir = value
        elif flag in ADDRESS_FLAGS:
            distributed = {**(distributed or {}), flag.removeprefix("--"): _address(flag, value)}
        else:
            overrides.append((flag.removeprefix("--config."), value))
    config = load_config(source)
    for key, value in overrides:
        override(config, key, value)
    if workdir is not None and not workdir:
        raise UserError("--workdir needs the name of a directory, it came empty")
    return Command(
        config,
        pathlib.Path(workdir or f"runs/{pathlib.Path(source).stem}"),
        wants_help,
        None if distributed is None else Distributed(**distributed),
    )


def load_config(source: str) -> Config:
    """Loads a configuration file, or one of `experiments/config/rows` by its name.

    Args:
      source: a path, or a name without ".py".

    Raises:
      UserError: no such file, no `get_config`, an error inside it, or fields that `default.py` does not have.
    """
    path = pathlib.Path(source)
    try:
        if not path.exists() and path.suffix == "" and (CONFIGS / f"{source}.py").exists():
            path = CONFIGS / f"{source}.py"
        is_file = path.is_file()
    except (OSError, ValueError) as error:
        raise UserError(f"--config={source} is no name of a file: {error}") from error
    if not is_file:
        names = [file.stem for file in CONFIGS.glob("*.py") if file.stem != "__init__"]
        raise UserError(f"no config file {source!r}{_near(path.stem, names)}; expected a Python file with get_config()")
    try:
        spec = importlib.util.spec_from_file_location(f"config_{path.stem}", path)
        if spec is None or spec.loader is None:
            raise UserError(f"{path} is not a Python file; expected one with get_config()")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    except UserError:
        raise
    except (Exception, SystemExit) as error:
        raise UserError(f"config file {path} failed: {type(error).__name__}: {error}") from error
    if not callable(getattr(module, "get_config", None)):
        raise UserError(f"config file {path} has no function get_config()")
    try:
        config = module.get_config()
    except (Exception, SystemExit) as error:
        raise UserError(f"get_config() of {path} failed: {type(error).__name__}: {error}") from error
    if not isinstance(config, ml_collections.ConfigDict):
        raise UserError(
            f"get_config() of {path} returned a {type(config).__name__}, expected an ml_collections.ConfigDict"
        )
    _check_fields(config, path)
    return config


def override(config: Config, key: str, text: str) -> None:
    """Sets one field from text, read as the type that the field has.

    Args:
      config: changed in place.
      key: the field; `model_overrides.NAME` reaches arguments of the network.
      text: the value as typed.

    Raises:
      UserError: no such field, or a value of another type.
    """
    if key.startswith("model_overrides."):
        name, value = key.removeprefix("model_overrides."), _literal(text)
        if not name.isidentifier():
            raise UserError(f"--config.{key}: expected the name of an argument of the network, came {name!r}")
        try:
            config.model_overrides[name] = value
        except Exception as error:  # of ml_collections: a name of its own, another type than a file has set
            raise UserError(f"--config.{key}={text}: {error}") from error
        return
    if key not in config or key == "model_overrides":
        raise UserError(f"config has no field {key!r}{_near(key, config.keys())}; --help lists them")
    config[key] = _convert(key, text, config[key])


def _convert(key: str, text: str, current: Any) -> Any:
    expected = {bool: "True or False", int: "an integer", float: "a number", tuple: "values separated by commas"}
    try:
        match current:
            case bool():
                return {"true": True, "1": True, "false": False, "0": False}[text.lower()]
            case int():
                return int(text)
            case float():
                return float(text)
            case tuple():
                parts = [part.strip(" ()[]'\"") for part in text.split(",")]
                return tuple(_literal(part) for part in parts if part)
            case _:
                return text
    except (KeyError, ValueError) as error:
        raise UserError(f"--config.{key}={text}: expected {expected[type(current)]}, such as {current}") from error


def _literal(text: str) -> Any:
    try:
        # Python warns of odd literals; whatever is none is text here.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
        return {"true": True, "false": False}.get(text, text)


def _check_fields(config: Config, path: pathlib.Path) -> None:
    reference = default_config()
    for key in config:
        if key not in reference:
            raise UserError(f"config file {path} sets {key!r}, which is no field{_near(key, reference.keys())}")
    for key, value in reference.items():
        if key not in config:
            raise UserError(f"config file {path} lacks the field {key!r}; start from experiments.config.default_config")
        kinds = (float, int) if isinstance(value, float) else (type(value),)
        if not isinstance(config[key], kinds) or isinstance(config[key], bool) != isinstance(value, bool):
            came = f"{config[key]!r} ({type(config[key]).__name__})"
            raise UserError(f"config file {path}: field {key!r} expects a {type(value).__name__}, came {came}")


def _address(flag: str, value: str) -> str | int:
    if flag == "--coordinator_address":
        return value
    try:
        return int(value)
    except ValueError as error:
        raise UserError(f"{flag}={value}: expected an integer") from error


def _near(word: str, words: Any) -> str:
    matches = difflib.get_close_matches(word, list(words), n=3, cutoff=0.5)
    return f" (did you mean {' or '.join(matches)}?)" if matches else ""


def describe(config: Config) -> str:
    """The fields of a configuration and their values, one a line."""
    return "\n".join(f"  --config.{key}={value}" for key, value in config.items() if key != "model_overrides")

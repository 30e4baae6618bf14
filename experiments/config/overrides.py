"""`--config.KEY=VALUE`: sets one field from text, read as the type of the field."""

import ast
import warnings
from typing import Any

from experiments.config._typing import Config
from experiments.config.schema import FIELDS
from experiments.errors import UserError, did_you_mean

_NETWORK = "model_overrides"
_EXPECTED = {bool: "True or False", int: "an integer", float: "a number", tuple: "values separated by commas"}
_BOOLEANS = {"true": True, "1": True, "false": False, "0": False}


def override(config: Config, key: str, text: str) -> None:
    """Sets one field.

    Args:
      config: changed in place.
      key: a field; `model_overrides.NAME` sets a keyword argument of the network.
      text: the value as typed.

    Raises:
      UserError: no such field, or a value of another type.
    """
    if key.startswith(f"{_NETWORK}."):
        _override_network(config, key.removeprefix(f"{_NETWORK}."), text)
        return
    if key not in FIELDS or key == _NETWORK:
        raise UserError(f"--config.{key}: expected a field; got {key!r}{did_you_mean(key, FIELDS)}; --help lists them")
    config[key] = _convert(key, text, config[key])


def _override_network(config: Config, name: str, text: str) -> None:
    if not name.isidentifier():
        raise UserError(f"--config.{_NETWORK}.{name}: expected the name of an argument of the network; got {name!r}")
    try:
        config[_NETWORK][name] = _literal(text)
    except Exception as error:  # from ml_collections: a reserved name, or a type other than that set by a file
        raise UserError(f"--config.{_NETWORK}.{name}={text}: {error}") from error


def _convert(key: str, text: str, current: Any) -> Any:
    try:
        match current:
            case bool():
                return _BOOLEANS[text.lower()]
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
        raise UserError(
            f"--config.{key}: expected {_EXPECTED[type(current)]}, such as {current}; got {text!r}"
        ) from error


def _literal(text: str) -> Any:
    """A Python literal, or the text itself if it is none."""
    try:
        # Python warns of unusual literals.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
        return {"true": True, "false": False}.get(text, text)

"""Checks of a whole configuration, before anything is built."""

import json
import math
from typing import Any

from experiments.config._typing import Config
from experiments.config.schema import FIELDS
from experiments.errors import UserError, check_choice
from gequi_jax import models

_LIMIT = 2**31


def validate(config: Config) -> None:
    """Checks every field of a configuration, and the fields against each other.

    Raises:
      UserError: the first field that cannot be used, and what was expected.
    """
    for name, field in FIELDS.items():
        value = config[name]
        if isinstance(value, int | float):
            _check_number(name, value)
        for choice in value if isinstance(value, tuple | list) else [value]:
            if not field.allows(choice):
                check_choice(name, choice, [*field.choices, *(f"{prefix}NAME" for prefix in field.prefixes)])
    if config.seed + config.num_seeds > _LIMIT:
        raise UserError(f"seed: expected seed + num_seeds to be at most 2**31; got {config.seed} + {config.num_seeds}")
    if config.decay_factor == 0 and config.schedule in ("multi_step", "plateau"):
        raise UserError(f"decay_factor: expected a positive number below 1 for schedule={config.schedule}; got 0")
    if not all(type(epoch) in (int, float) and 0 < epoch < _LIMIT for epoch in config.decay_epochs):
        raise UserError(f"decay_epochs: expected positive numbers; got {tuple(config.decay_epochs)}")
    for name in ("image_size", "tile_size"):
        sizes = tuple(config[name])
        if sizes and (len(sizes) > 3 or not all(_is_positive_integer(size) for size in sizes)):
            raise UserError(f"{name}: expected (ROWS,COLUMNS) or (DEPTH,ROWS,COLUMNS); got {sizes}")
    _check_overrides(config.model_overrides.to_dict())
    _check_model("model", config.model)
    if config.z2_model or config.compare_z2:
        _check_model("z2_model", config.z2_model)


def _check_number(name: str, value: float) -> None:
    allowed = FIELDS[name].range
    if value not in allowed:
        raise UserError(f"{name}: expected {allowed.words}; got {value}")
    if not math.isfinite(value):
        raise UserError(f"{name}: expected a finite number; got {value}")
    if isinstance(value, int) and value >= _LIMIT:
        raise UserError(f"{name}: expected a number below 2**31; got {value}")


def _check_overrides(overrides: dict[str, Any]) -> None:
    try:
        json.dumps(overrides)
    except (TypeError, ValueError) as error:
        raise UserError(f"model_overrides: expected values that JSON can hold; got {error}") from error
    shape, classes = overrides.get("input_shape", (1, 1, 1)), overrides.get("num_classes", 1)
    if not isinstance(shape, list | tuple) or not 2 <= len(shape) <= 4 or not all(map(_is_positive_integer, shape)):
        raise UserError(
            f"model_overrides.input_shape: expected (ROWS,COLUMNS,CHANNELS) or (DEPTH,ROWS,COLUMNS,CHANNELS); got {shape!r}"
        )
    if not _is_positive_integer(classes):
        raise UserError(f"model_overrides.num_classes: expected a positive integer; got {classes!r}")


def _is_positive_integer(value: Any) -> bool:
    return type(value) is int and value > 0


def _check_model(field: str, name: str) -> None:
    # Not by list_models: every name there is also valid with another group.
    try:
        models.model_info(name)
    except ValueError as error:
        raise UserError(f"{field}: {error}") from error

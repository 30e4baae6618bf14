"""Checks of a configuration before anything is built, and whether it continues a run."""

import difflib
import json
import math
import pathlib
from collections.abc import Iterable
from typing import Any

from experiments import data
from experiments.config import flags
from experiments.config._typing import Config
from experiments.errors import UserError
from experiments.training import optimizers
from gequi_jax import models

# Fields that may change when a run goes on: they change what is written, where the data lie and when it ends, and
# nothing of what was trained so far (but a schedule that depends on num_epochs is that of the new number).
FREE_FIELDS = {
    "audit",
    "audit_every_epochs",
    "checkpoint_every_steps",
    "compare_z2",
    "data_dir",
    "equivariance_images",
    "eval_batch_size",
    "log_every_steps",
    "num_devices",
    "num_epochs",
    "num_test",
    "z2_model",
}
POSITIVE = (
    "num_seeds",
    "batch_size",
    "eval_batch_size",
    "num_epochs",
    "learning_rate",
    "num_validation",
    "downscale",
    "equivariance_images",
)
NOT_NEGATIVE = (
    "audit_every_epochs",
    "seed",
    "data_seed",
    "num_train",
    "num_test",
    "momentum",
    "weight_decay",
    "gradient_clip",
    "warmup_epochs",
    "num_devices",
    "checkpoint_every_steps",
    "plateau_patience",
)
BELOW_ONE = ("ema_decay", "label_smoothing", "decay_factor", "momentum")
PRECISIONS = ("float32", "bfloat16")


def validate(config: Config) -> None:
    """Checks values and names.

    Raises:
      UserError: the first field that cannot be used, with what was expected.
    """
    for field in POSITIVE:
        if not config[field] > 0:
            raise UserError(f"{field} must be positive, came {config[field]}")
    for field in NOT_NEGATIVE:
        if not config[field] >= 0:
            raise UserError(f"{field} must not be negative, came {config[field]}")
    for field in BELOW_ONE:
        if not 0 <= config[field] < 1:
            raise UserError(f"{field} must lie in [0, 1), came {config[field]}")
    for field, value in config.items():
        if isinstance(value, float) and not math.isfinite(value):
            raise UserError(f"{field} must be finite, came {value}")
        if isinstance(value, int) and abs(value) >= 2**31:
            raise UserError(f"{field} must lie below 2**31, came {value}")
    if config.log_every_steps < 0:
        raise UserError(f"log_every_steps must not be negative, came {config.log_every_steps}")
    if config.seed + config.num_seeds > 2**31:
        raise UserError(f"seed must stay below 2**31, came {config.seed} with num_seeds={config.num_seeds}")
    if config.decay_factor == 0 and config.schedule in ("multi_step", "plateau"):
        raise UserError("decay_factor must lie between 0 and 1, came 0")
    if not all(type(epoch) in (int, float) and 0 < epoch < 2**31 for epoch in config.decay_epochs):
        raise UserError(f"decay_epochs must be positive numbers, came {tuple(config.decay_epochs)}")
    _check_overrides(config.model_overrides.to_dict())
    _check_model("model", config.model)
    if config.z2_model or config.compare_z2:
        _check_model("z2_model", config.z2_model)
    _check_name("dataset", config.dataset, [*data.DATASETS, data.GENERATED])
    _check_name("normalization", config.normalization, data.NORMALIZATIONS)
    for name in config.augmentation:
        _check_name("augmentation", name, data.AUGMENTATIONS)
    _check_name("optimizer", config.optimizer, optimizers.OPTIMIZERS)
    _check_name("schedule", config.schedule, optimizers.SCHEDULES)
    _check_name("precision", config.precision, PRECISIONS)


def check_continues(config: Config, workdir: pathlib.Path) -> None:
    """Compares with the configuration that a work directory remembers, where there is one.

    Raises:
      UserError: the directory belongs to a run with another configuration.
    """
    path = workdir / "config.json"
    try:
        if path.exists():
            _check_same(as_plain(config), json.loads(path.read_text()), workdir)
    except OSError as error:
        raise UserError(f"work directory {workdir} cannot be used ({error.strerror}); choose another") from error
    except json.JSONDecodeError as error:
        raise UserError(f"{path} is no JSON ({error}); choose another --workdir or remove this one") from error


def remember(config: Config, workdir: pathlib.Path) -> None:
    """Writes config.json into the work directory; from here on it belongs to this run.

    Raises:
      UserError: the directory cannot be written.
    """
    path = workdir / "config.json"
    temporary = path.with_suffix(".tmp")
    try:
        temporary.write_text(json.dumps(as_plain(config), indent=2) + "\n")
        temporary.replace(path)
    except OSError as error:
        raise UserError(f"work directory {workdir} cannot be used ({error.strerror}); choose another") from error


def as_plain(config: Config) -> dict[str, Any]:
    """The configuration as JSON would give it back."""
    return json.loads(json.dumps(config.to_dict()))


def changes(config: dict[str, Any], name: str) -> dict[str, Any]:
    """The fields in which a plain configuration differs from a named one; fields that are no more do not count."""
    reference = as_plain(flags.load_config(name))
    return {field: config[field] for field in reference if field in config and config[field] != reference[field]}


def _check_same(mine: dict[str, Any], theirs: dict[str, Any], workdir: pathlib.Path) -> None:
    for field in [*mine, *theirs]:
        if field not in FREE_FIELDS and mine.get(field) != theirs.get(field):
            raise UserError(
                f"{workdir} holds a run with {field}={theirs.get(field)}, this one has {field}={mine.get(field)}; "
                "choose another --workdir, or the same settings to resume; nothing was changed"
            )


def _check_overrides(overrides: dict[str, Any]) -> None:
    try:
        json.dumps(overrides)
    except (TypeError, ValueError) as error:
        raise UserError(f"model_overrides must be plain data, as JSON has it; {error}") from error
    shape, classes = overrides.get("input_shape", (1, 1, 1)), overrides.get("num_classes", 1)
    if not isinstance(shape, list | tuple) or len(shape) != 3 or not all(_is_positive(size) for size in shape):
        raise UserError(f"model_overrides.input_shape must be (ROWS,COLUMNS,CHANNELS), came {shape!r}")
    if not _is_positive(classes):
        raise UserError(f"model_overrides.num_classes must be a positive integer, came {classes!r}")


def _is_positive(value: Any) -> bool:
    return type(value) is int and value > 0


def _check_model(field: str, name: str) -> None:
    # Not by list_models: a name there may be used with any other group in its place.
    try:
        models.model_info(name)
    except ValueError as error:
        raise UserError(f"{field}={name!r} is not known; {error}") from error


def _check_name(field: str, name: Any, names: Iterable[str]) -> None:
    names = list(names)
    if name not in names:
        near = difflib.get_close_matches(str(name), names, n=3, cutoff=0.5)
        hint = f"did you mean {' or '.join(near)}?" if near else f"expected one of {', '.join(names)}"
        raise UserError(f"{field}={name!r} is not known; {hint}")

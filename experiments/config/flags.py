"""The command line of the training program: `--config NAME`, `--config.KEY=VALUE`, `--workdir DIR`.

absl's flags report a mistake in several lines; here every mistake is one `UserError`.
"""

import dataclasses
import pathlib
from typing import Any

from experiments.config._typing import Config
from experiments.config.loading import default_workdir, load_config
from experiments.config.overrides import override
from experiments.errors import UserError

SWITCHES = ("-h", "--help", "--distributed")
ADDRESS_FLAGS = ("--coordinator_address", "--num_processes", "--process_id")

USAGE = """\
usage: python -m experiments.main [--config NAME] [--config.KEY=VALUE ...] [--workdir DIR]

Trains a network of gequi_jax and writes the results to the work directory.
Run the same command again to resume an interrupted run. A finished run prints its summary again.

  --config NAME         a row of the papers' tables, such as rotmnist:r4_sa, or a Python file with get_config()
                        (default: an attentive p4 network on scikit-learn's digits)
  --config.KEY=VALUE    set one field, e.g. --config.num_epochs=5 --config.augmentation=random_rotation;
                        --config.model_overrides.KEY=VALUE sets a keyword argument of the network
  --workdir DIR         the directory of the run (default: runs/NAME)
  --distributed         train on several processes, found by JAX (SLURM, TPU, ...); or give their addresses:
  --coordinator_address HOST:PORT --num_processes N --process_id I
  --help                show this text and the fields of the configuration
"""


@dataclasses.dataclass(frozen=True)
class Distributed:
    """The addresses of a run on several processes; None where JAX finds them."""

    coordinator_address: str | None = None
    num_processes: int | None = None
    process_id: int | None = None


@dataclasses.dataclass(frozen=True)
class Command:
    """The contents of a command line."""

    config: Config
    workdir: pathlib.Path
    help: bool = False
    distributed: Distributed | None = None


def parse(arguments: list[str]) -> Command:
    """Reads the arguments after the name of the program.

    Args:
      arguments: `sys.argv[1:]`.

    Returns:
      The configuration with its overrides applied, and the work directory.

    Raises:
      UserError: an unknown flag or field, a missing or wrong value, or a file that is no configuration.
    """
    values, switches = _read(arguments)
    source = values.get("--config", "default")
    config = load_config(source)
    for flag, value in values.items():
        if flag.startswith("--config."):
            override(config, flag.removeprefix("--config."), value)
    workdir = values.get("--workdir")
    if workdir is not None and not workdir:
        raise UserError("--workdir: expected the name of a directory; got an empty name")
    addresses: dict[str, Any] = {
        flag.removeprefix("--"): _address(flag, values[flag]) for flag in ADDRESS_FLAGS if flag in values
    }
    return Command(
        config,
        pathlib.Path(workdir) if workdir else default_workdir(source),
        help=bool(switches & {"-h", "--help"}),
        distributed=Distributed(**addresses) if addresses or "--distributed" in switches else None,
    )


def _read(arguments: list[str]) -> tuple[dict[str, str], set[str]]:
    """The values by flag, in the order given, and the switches."""
    values: dict[str, str] = {}
    switches = set()
    remaining = list(arguments)
    while remaining:
        argument = remaining.pop(0)
        if argument in SWITCHES:
            switches.add(argument)
            continue
        flag, has_value, value = argument.partition("=")
        _check_flag(flag, argument)
        if not has_value:
            if not remaining or remaining[0].startswith("--"):
                raise UserError(f"{flag}: expected a value, as in {flag}=VALUE; got none")
            value = remaining.pop(0)
        if flag in values:
            raise UserError(f"{flag}: expected one value; got {values[flag]!r} and {value!r}")
        if "\0" in value:
            raise UserError(f"{flag}: expected text without null characters; got {value!r}")
        values[flag] = value
    return values, switches


def _check_flag(flag: str, argument: str) -> None:
    if flag not in ("--config", "--workdir", *ADDRESS_FLAGS) and not flag.startswith("--config."):
        raise UserError(f"expected --config, --config.KEY=VALUE, --workdir or --help; got {argument!r}")


def _address(flag: str, value: str) -> str | int:
    if flag == "--coordinator_address":
        return value
    try:
        return int(value)
    except ValueError as error:
        raise UserError(f"{flag}: expected an integer; got {value!r}") from error

"""Trains a network: `python -m experiments.main [--config FILE] [--config.KEY=VALUE ...] [--workdir DIR]`."""

import dataclasses
import sys
from logging import getLogger

from experiments.config import flags
from experiments.errors import UserError, fail


def main(arguments: list[str] | None = None) -> None:
    """Parses the flags and runs the training.

    Args:
      arguments: the arguments after the program's name; those of the process by default.

    Raises:
      SystemExit: with code 2 and one line on the error stream after a mistake of the user.
    """
    try:
        command = flags.parse(sys.argv[1:] if arguments is None else arguments)
        if command.help:
            print(f"{flags.USAGE}\nFields:\n{flags.describe(command.config)}")
            return
        # Imported late: --help and mistakes in the flags should not wait for JAX.
        from absl import logging

        from experiments.training import parallel
        from experiments.training import run as train

        # Both report what fails in the background with a traceback; `train` says it in one line.
        logging.set_verbosity(logging.FATAL)
        getLogger("asyncio").setLevel("CRITICAL")
        if command.distributed is not None:
            parallel.initialize(**dataclasses.asdict(command.distributed))
        train.run(command.config, command.workdir)
    except UserError as error:
        fail(error)


if __name__ == "__main__":
    main()

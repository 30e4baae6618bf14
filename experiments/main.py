"""Trains a network: `python -m experiments.main [--config NAME] [--config.KEY=VALUE ...] [--workdir DIR]`."""

import dataclasses
import sys
from logging import getLogger

from experiments.config import flags, schema
from experiments.errors import exit_on_user_error
from experiments.huge_pages import restart_with_huge_pages


@exit_on_user_error()
def main(arguments: list[str] | None = None) -> None:
    """Parses the flags and trains."""
    command = flags.parse(sys.argv[1:] if arguments is None else arguments)
    if command.help:
        print(f"{flags.USAGE}\nFields of the configuration, with their values:\n\n{schema.describe(command.config)}")
    else:
        _train(command)


def _train(command: flags.Command) -> None:
    # Imported late: --help and mistakes in the flags do not wait for JAX.
    from absl import logging

    from experiments.training import compilation_cache, parallel, run

    # Both log background failures with a traceback; `run` reports them in one line.
    logging.set_verbosity(logging.FATAL)
    getLogger("asyncio").setLevel("CRITICAL")
    if command.distributed is not None:
        parallel.initialize(**dataclasses.asdict(command.distributed))
    compilation_cache.enable(command.config.compilation_cache, command.workdir)
    run.run(command.config, command.workdir)


if __name__ == "__main__":
    restart_with_huge_pages()
    main()

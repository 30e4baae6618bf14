"""A run of the tiny network in a process of its own, by the program's own command line.

`python -m tests.experiments.tiny_run WORKDIR [FIELD=VALUE ...]`, of which the last value of a field counts. This file
is the configuration, too.
"""

import sys

from experiments import main as program
from tests.experiments.conftest import make_tiny_config, make_tiny_models, quick_results

ADDRESSES = ("coordinator_address", "num_processes", "process_id")


def get_config():
    return make_tiny_config("tiny")


def main(workdir: str, *fields: str) -> None:
    make_tiny_models(setattr)
    quick_results(setattr)
    values = dict(field.split("=", 1) for field in fields)
    flags = [f"--{name}={value}" if name in ADDRESSES else f"--config.{name}={value}" for name, value in values.items()]
    program.main(["--config", __file__, "--workdir", workdir, *flags])


if __name__ == "__main__":
    main(*sys.argv[1:])

"""A run of the tiny network in a process of its own: `python -m tests.experiments.tiny_run WORKDIR [FIELD=VALUE ...]`."""

import pathlib
import sys

from experiments import command_line, parallel, summary, train
from tests.experiments.conftest import make_tiny_config, make_tiny_models


def main(workdir: str, *fields: str) -> None:
    make_tiny_models(setattr)
    summary._draw = lambda *_: None
    config = make_tiny_config("tiny")
    address = {}
    for field in fields:
        name, _, value = field.partition("=")
        if name in ("coordinator_address", "num_processes", "process_id"):
            address[name] = value if name == "coordinator_address" else int(value)
        else:
            command_line.override(config, name, value)
    if address:
        parallel.initialize(**address)
    train.run(config, pathlib.Path(workdir))


if __name__ == "__main__":
    main(*sys.argv[1:])

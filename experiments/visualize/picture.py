"""A picture as a sub-command of the program, and the files that it writes."""

import argparse
import dataclasses
import json
import pathlib
from collections.abc import Callable
from typing import Any


class Output:
    """Files in a directory.

    Attributes:
      folder: the directory.
      paths: the files so far, in order.
    """

    def __init__(self, folder: pathlib.Path):
        self.folder = folder
        self.paths: list[pathlib.Path] = []

    def file(self, name: str) -> pathlib.Path:
        """The path of a new file."""
        self.paths.append(self.folder / name)
        return self.paths[-1]

    def figure(self, name: str) -> tuple[pathlib.Path, pathlib.Path]:
        """The paths of a figure as PNG and as SVG."""
        return self.file(f"{name}.png"), self.file(f"{name}.svg")

    def write_json(self, name: str, content: dict[str, Any]) -> None:
        """Writes the measured figures beside the pictures."""
        self.file(f"{name}.json").write_text(json.dumps(content, indent=2) + "\n")


@dataclasses.dataclass(frozen=True)
class Picture:
    """A sub-command.

    Attributes:
      name: of the sub-command and of the files.
      summary: one line of help.
      add_options: adds the options of this picture to its parser.
      make: measures, draws and writes the files; returns the caption. Raises UserError after a mistake of the user.
    """

    name: str
    summary: str
    add_options: Callable[[argparse.ArgumentParser], None]
    make: Callable[[argparse.Namespace, Output], str]


def add_workdir(parser: Any, text: str, default: str | None = None) -> None:
    """The option for the work directory of a run."""
    parser.add_argument("--workdir", default=default, help=text)


def add_index(parser: Any, text: str) -> None:
    """The option for the index of an image."""
    parser.add_argument("--index", type=int, default=0, help=f"{text} (0)")


def add_seed(parser: Any, text: str) -> None:
    """The option for the seed of untrained layers."""
    parser.add_argument("--seed", type=int, default=0, help=f"{text} (0)")


def add_query(parser: Any) -> None:
    """The option for the position of a query of self-attention."""
    parser.add_argument(
        "--query",
        metavar="[DEPTH,]ROW,COLUMN",
        help="the position from which self-attention attends (the brightest; of several the most central)",
    )

"""Pictures of what the layers do: `python -m experiments.visualize [PICTURE] [--out DIR] ...`.

Every picture measures what it shows, and has the numbers in its caption.
"""

import argparse
import dataclasses
import pathlib
import sys
from collections.abc import Callable

from experiments import (
    _visualize_attention,
    _visualize_pose_index,
    _visualize_receptive_fields,
    _visualize_steerability,
)
from experiments.errors import Parser, UserError, fail


@dataclasses.dataclass(frozen=True)
class Picture:
    """A sub-command.

    Attributes:
      summary: one line of help.
      add_options: adds the options of this picture to its parser.
      make: from all options to the files written and a caption.
    """

    summary: str
    add_options: Callable[[argparse.ArgumentParser], None]
    make: Callable[[argparse.Namespace], tuple[list[pathlib.Path], str]]


DEFAULT = _visualize_attention.NAME
MODULES = (_visualize_attention, _visualize_receptive_fields, _visualize_pose_index, _visualize_steerability)
PICTURES = {module.NAME: Picture(module.SUMMARY, module.add_options, module.make) for module in MODULES}


def main(arguments: list[str] | None = None) -> None:
    """Makes a picture and prints its caption and where it is.

    Args:
      arguments: the arguments after the program's name; those of the process by default.

    Raises:
      SystemExit: with code 2 and one line on the error stream after a mistake of the user.
    """
    try:
        options = parse(sys.argv[1:] if arguments is None else arguments)
        try:
            paths, caption = PICTURES[options.picture].make(options)
        except OSError as error:
            raise UserError(f"--out {options.out}: cannot be written ({error.strerror})") from error
        print(caption, *paths, sep="\n")
    except UserError as error:
        fail(error)


def parse(arguments: list[str]) -> argparse.Namespace:
    """Reads the options; without a picture those of the default one.

    Raises:
      UserError: an unknown picture, option or value, or an output directory that cannot be made.
    """
    parser = Parser(
        prog="python -m experiments.visualize", description="Pictures of what the layers do; of attention by default."
    )
    pictures = parser.add_subparsers(dest="picture", metavar="PICTURE", required=True)
    for name, picture in PICTURES.items():
        options = pictures.add_parser(name, help=picture.summary, description=f"Draws {picture.summary}.")
        options.add_argument("--out", "--output", default="runs/pictures", help="the directory of the files")
        picture.add_options(options)
    if not arguments or (arguments[0].startswith("-") and arguments[0] not in ("-h", "--help")):
        arguments = [DEFAULT, *arguments]
    found = parser.parse_args(arguments)
    found.out = pathlib.Path(found.out)
    try:
        found.out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"--out {found.out}: cannot be made ({error.strerror})") from error
    return found


if __name__ == "__main__":
    main()

"""Makes pictures of what the layers do: `python -m experiments.visualize [PICTURE] [--out DIR] ...`.

Every picture measures what it shows and states the figures in its caption.
"""

import argparse
import pathlib
import sys

from experiments.errors import Parser, UserError, exit_on_user_error
from experiments.visualize.attention.command import PICTURE as ATTENTION
from experiments.visualize.picture import Output
from experiments.visualize.pose_index.command import PICTURE as POSE_INDEX
from experiments.visualize.receptive_fields.command import PICTURE as RECEPTIVE_FIELDS
from experiments.visualize.steerability.command import PICTURE as STEERABILITY

DEFAULT = ATTENTION
PICTURES = {picture.name: picture for picture in (ATTENTION, RECEPTIVE_FIELDS, POSE_INDEX, STEERABILITY)}


@exit_on_user_error()
def main(arguments: list[str] | None = None) -> None:
    """Makes a picture and prints its caption and its files."""
    options = parse(sys.argv[1:] if arguments is None else arguments)
    output = Output(options.out)
    try:
        caption = PICTURES[options.picture].make(options, output)
    except OSError as error:
        raise UserError(f"--out {options.out}: cannot be written ({error.strerror})") from error
    print(caption, *output.paths, sep="\n")


def parse(arguments: list[str]) -> argparse.Namespace:
    """Reads the options; without the name of a picture, those of the default picture.

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
        arguments = [DEFAULT.name, *arguments]
    parsed = parser.parse_args(arguments)
    parsed.out = pathlib.Path(parsed.out)
    try:
        parsed.out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"--out {parsed.out}: cannot be made ({error.strerror})") from error
    return parsed


if __name__ == "__main__":
    main()

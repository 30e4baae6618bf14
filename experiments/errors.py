"""The one exception that a user of the command line is meant to see, and how every command ends with it."""

import argparse
import sys
from typing import NoReturn


class UserError(Exception):
    """A mistake of the user: its message is one line that says what was expected, what came and what to do."""

    def __init__(self, message: str):
        super().__init__(" ".join(message.split()))


class Parser(argparse.ArgumentParser):
    """An argument parser whose mistakes are those of all programs here: one line and exit code 2, through `fail`."""

    def error(self, message: str) -> NoReturn:
        """Raises UserError with argparse's message."""
        raise UserError(message)


def fail(error: Exception) -> NoReturn:
    """Prints a user's mistake as one line and leaves with exit code 2."""
    print(f"error: {error}", file=sys.stderr)
    raise SystemExit(2)

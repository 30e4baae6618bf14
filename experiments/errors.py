"""User mistakes: the exception, the hint for a misspelt name, and how a command reports them."""

import argparse
import contextlib
import difflib
import sys
from collections.abc import Iterable, Iterator
from typing import Any, NoReturn


class UserError(Exception):
    """A mistake of the user. The message is one line: what was expected, what was given and what to do."""

    def __init__(self, message: str):
        super().__init__(" ".join(message.split()))


def did_you_mean(word: Any, words: Iterable[str]) -> str:
    """A hint for a misspelt name: "; did you mean X or Y?", or "" if no name is similar."""
    similar = difflib.get_close_matches(str(word), list(words), n=3, cutoff=0.5)
    return f"; did you mean {' or '.join(similar)}?" if similar else ""


def check_choice(field: str, value: Any, choices: Iterable[str]) -> None:
    """Checks that a value is one of the names on offer.

    Raises:
      UserError: it is not.
    """
    choices = list(choices)
    if value not in choices:
        hint = did_you_mean(value, choices)
        raise UserError(f"{field}: expected one of {', '.join(choices)}; got {value!r}{hint}")


class Parser(argparse.ArgumentParser):
    """An argument parser that raises UserError, so that `exit_on_user_error` reports every mistake in the same way."""

    def error(self, message: str) -> NoReturn:
        """Raises UserError with the message of argparse."""
        raise UserError(message)


@contextlib.contextmanager
def exit_on_user_error() -> Iterator[None]:
    """Prints a user mistake as one line on the error stream and exits with code 2. It decorates the main functions.

    Raises:
      SystemExit: in place of UserError.
    """
    try:
        yield
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2) from None

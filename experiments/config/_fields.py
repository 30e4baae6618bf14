"""The description of one field: its default, its range, its choices, and its help text."""

import dataclasses
import math
from typing import Any


@dataclasses.dataclass(frozen=True)
class Range:
    """An interval of numbers.

    Attributes:
      words: the interval in a message, as in "expected {words}".
      minimum: the smallest number.
      open_minimum: whether the minimum itself is excluded.
      below: an upper bound, excluded.
    """

    words: str
    minimum: float = -math.inf
    open_minimum: bool = False
    below: float = math.inf

    def __contains__(self, value: float) -> bool:
        above = value > self.minimum if self.open_minimum else value >= self.minimum
        return above and value < self.below


ANY = Range("a number")
POSITIVE = Range("a positive number", minimum=0, open_minimum=True)
NOT_NEGATIVE = Range("0 or a positive number", minimum=0)
FRACTION = Range("a number from 0 to below 1", minimum=0, below=1)


@dataclasses.dataclass(frozen=True)
class Field:
    """One field of a configuration.

    Attributes:
      default: also the type; a float field accepts integers.
      help: one or two sentences.
      range: of a number.
      choices: the names that a text, or each entry of a tuple of texts, may have; empty if there is no fixed list.
      free_on_resume: whether a resumed run may have another value. Such a field changes what is written, where the data
        are or when training ends, and nothing that has been trained.
    """

    default: Any
    help: str
    range: Range = ANY
    choices: tuple[str, ...] = ()
    free_on_resume: bool = False

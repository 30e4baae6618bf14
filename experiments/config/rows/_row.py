"""One row of a table."""

import dataclasses
from collections.abc import Mapping
from typing import Any

# Notes that rows share.
HELD_OUT = "This run selects the epoch on the validation split and reads the test set once."
PUBLISHED_ON_TEST = f"The published code selects the epoch on the test set. {HELD_OUT}"


@dataclasses.dataclass(frozen=True)
class Row:
    """One row of a table in a paper, and the settings that train it here.

    Attributes:
      title: the network and the table.
      result: the published result; "no number" if the table has none.
      settings: the fields that differ from the defaults.
      note: what a reader must know to compare the numbers.
    """

    title: str
    result: str
    settings: Mapping[str, Any]
    note: str

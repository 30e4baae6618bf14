"""One row of a table."""

import dataclasses
import re
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

    @property
    def published_error(self) -> float | None:
        """The published test error in percent, the first of the result; None if the table has none."""
        found = re.match(r"([\d.]+)[^%]*% test (accuracy|error)", self.result)
        if found is None:
            return None
        return float(found[1]) if found[2] == "error" else 100 - float(found[1])

    @property
    def is_published_on_test(self) -> bool:
        """Whether the published code is known to select the epoch on the test set."""
        return self.note.endswith(PUBLISHED_ON_TEST)

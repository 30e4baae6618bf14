"""One row of a table."""

import dataclasses
from collections.abc import Mapping
from typing import Any


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

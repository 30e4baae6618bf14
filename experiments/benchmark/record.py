"""The record of a benchmark on disk: benchmark.json."""

import dataclasses
import json
import pathlib
from typing import Any

from experiments.benchmark.growth import growth
from experiments.benchmark.measurement import Measurement, as_plain, from_plain
from experiments.errors import UserError

FILE = "benchmark.json"


@dataclasses.dataclass(frozen=True)
class Provenance:
    """Where a section was measured.

    Attributes:
      environment: hardware, versions and commit.
      repeats: timings of each contender.
    """

    environment: dict[str, Any]
    repeats: int


@dataclasses.dataclass(frozen=True)
class Record:
    """Everything measured into one directory, whose sections may be of several commits.

    Attributes:
      provenance: that of each section.
      quick: whether sizes were small.
      measurements: of all sections.
    """

    provenance: dict[str, Provenance]
    quick: bool
    measurements: list[Measurement]


def save(record: Record, folder: pathlib.Path) -> None:
    """Writes benchmark.json."""
    plain = {
        "provenance": {section: dataclasses.asdict(of) for section, of in record.provenance.items()},
        "quick": record.quick,
        "measurements": [as_plain(measurement) for measurement in record.measurements],
        "growth": [dataclasses.asdict(fit) for fit in growth(record.measurements)],
    }
    (folder / FILE).write_text(json.dumps(plain, indent=2) + "\n")


def load(folder: pathlib.Path, *, quick: bool) -> Record:
    """What an earlier run has measured into a directory at the same sizes, empty if there is nothing.

    Raises:
      UserError: a file that cannot be read.
    """
    path = folder / FILE
    try:
        plain = json.loads(path.read_text()) if path.exists() else {}
        if plain.get("quick") != quick:
            return Record({}, quick, [])
        provenance = {section: Provenance(**fields) for section, fields in plain["provenance"].items()}
        return Record(provenance, quick, [from_plain(fields) for fields in plain["measurements"]])
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise UserError(f"{path} cannot be read ({error}); remove it, or choose another --output") from error

"""What the benchmark measures of one contender, with its spread, and the same as plain data."""

import dataclasses
import statistics
from collections.abc import Iterable, Sequence
from typing import Any


@dataclasses.dataclass(frozen=True)
class Spread:
    """Median, minimum and maximum of repeated measurements."""

    median: float
    minimum: float
    maximum: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread":
        """Summarizes the values of all repeats."""
        return cls(statistics.median(values), min(values), max(values))


@dataclasses.dataclass(frozen=True)
class Measurement:
    """One contender in one case.

    Attributes:
      section, setting, variables: of the case.
      contender: its name.
      passes: "forward", "forward and backward" or "step".
      seconds: the time of a run; None if it was compiled and not run.
      temporary_bytes: the memory that XLA plans besides arguments and results; None for another library.
      compile_seconds: tracing and compilation, measured once; None for another library.
      time_ratio: time over that of the first contender, repeat by repeat.
      memory_ratio: memory over that of the first contender.
    """

    section: str
    setting: dict[str, Any]
    variables: tuple[str, ...]
    contender: str
    passes: str
    seconds: Spread | None
    temporary_bytes: int | None
    compile_seconds: float | None
    time_ratio: Spread | None = None
    memory_ratio: float | None = None


def as_plain(measurement: Measurement) -> dict[str, Any]:
    """A measurement as JSON holds it."""
    return dataclasses.asdict(measurement)


def from_plain(fields: dict[str, Any]) -> Measurement:
    """The inverse of `as_plain`.

    Raises:
      TypeError, KeyError: fields of another version.
    """
    spreads = {name: Spread(**fields[name]) if fields[name] else None for name in ("seconds", "time_ratio")}
    return Measurement(**{**fields, "variables": tuple(fields["variables"]), **spreads})


def by_section(measurements: Iterable[Measurement]) -> dict[str, list[Measurement]]:
    """Measurements grouped by section, in order."""
    groups: dict[str, list[Measurement]] = {}
    for measurement in measurements:
        groups.setdefault(measurement.section, []).append(measurement)
    return groups

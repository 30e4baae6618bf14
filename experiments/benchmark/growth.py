"""How time and memory grow with each size: exponents of fitted powers."""

import collections
import dataclasses
from collections.abc import Iterable, Sequence

import numpy as np

from experiments.benchmark.measurement import Measurement


@dataclasses.dataclass(frozen=True)
class Growth:
    """Exponents p of time and memory ~ variable^p; None with fewer than three measurements.

    Attributes:
      section, variable, contender, passes: of the series.
      time, memory: the exponents.
    """

    section: str
    variable: str
    contender: str
    passes: str
    time: float | None
    memory: float | None


def growth(measurements: Iterable[Measurement]) -> list[Growth]:
    """Fits the exponents of every series by least squares on logarithms, and leaves out series without a fit."""
    fits = []
    for (section, variable, contender, passes), points in series(measurements).items():
        sizes = [point.setting[variable] for point in points]
        time = _exponent(sizes, [None if point.seconds is None else point.seconds.median for point in points])
        memory = _exponent(sizes, [point.temporary_bytes for point in points])
        if time is not None or memory is not None:
            fits.append(Growth(section, variable, contender, passes, time, memory))
    return fits


def series(measurements: Iterable[Measurement]) -> dict[tuple[str, str, str, str], list[Measurement]]:
    """Measurements that differ in one size, by section, variable, contender and passes, in order of that size."""
    groups = collections.defaultdict(list)
    for measurement in measurements:
        for variable in measurement.variables:
            groups[measurement.section, variable, measurement.contender, measurement.passes].append(measurement)
    return {key: sorted(points, key=lambda point: point.setting[key[1]]) for key, points in groups.items()}


def _exponent(sizes: Sequence[float], costs: Sequence[float | None]) -> float | None:
    known = [(size, cost) for size, cost in zip(sizes, costs, strict=True) if cost]
    if len(known) < 3:
        return None
    log_sizes, log_costs = np.log(np.asarray(known, float)).T
    return float(np.polyfit(log_sizes, log_costs, 1)[0])

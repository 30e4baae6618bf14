"""Plots of time and memory against each size that the benchmark varies."""

import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from experiments.benchmark.growth import series
from experiments.benchmark.measurement import Measurement
from experiments.benchmark.programs import BACKWARD


def plot(measurements: Sequence[Measurement], path: pathlib.Path) -> None:
    """Plots the series of one section on logarithmic axes; bars go from the shortest to the longest time.

    Args:
      measurements: of one section with at least one series.
      path: of the picture.
    """
    lines = series(measurements)
    variables = list(dict.fromkeys(variable for _, variable, _, _ in lines))
    figure = Figure(figsize=(3.6 * len(variables), 6), layout="constrained")
    panels = figure.subplots(2, len(variables), squeeze=False)
    for (_, variable, contender, passes), points in lines.items():
        above, below = panels[:, variables.index(variable)]
        style = {"label": f"{contender}, {passes}", "marker": "o", "linestyle": "-" if passes == BACKWARD else "--"}
        sizes = [point.setting[variable] for point in points]
        median, minimum, maximum = _times(points)
        above.errorbar(sizes, median, (median - minimum, maximum - median), capsize=2, **style)
        below.plot(sizes, [np.nan if p.temporary_bytes is None else p.temporary_bytes / 1e6 for p in points], **style)
    for (above, below), variable in zip(panels.T, variables, strict=True):
        for axes, unit in ((above, "seconds"), (below, "MB")):
            axes.set(xscale="log", yscale="log", xlabel=variable, ylabel=unit)
            axes.grid(alpha=0.3)
    panels[0, 0].legend(fontsize=7)
    figure.savefig(path, dpi=120)


def _times(points: Sequence[Measurement]) -> Any:
    missing = (np.nan,) * 3
    seconds = [point.seconds for point in points]
    return np.array([missing if s is None else (s.median, s.minimum, s.maximum) for s in seconds]).T

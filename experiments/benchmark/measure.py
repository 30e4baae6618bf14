"""Measures the time and memory of all contenders of a case.

All programs of a case, including forward and backward passes, are timed alternately, so that a slow phase of the machine
affects all of them and their ratios are more reliable than their times.
"""

import contextlib
import gc
import math
import statistics
from collections.abc import Callable, Hashable, Mapping
from typing import TypeVar

from experiments.benchmark.cases import Case
from experiments.benchmark.measurement import Measurement, Spread
from experiments.benchmark.programs import Runnable

SHORTEST_TIMING = 0.1  # seconds; shorter programs are run several times for one timing
Key = TypeVar("Key", bound=Hashable)


def measure(case: Case, *, repeats: int, memory_limit: float) -> list[Measurement]:
    """Compiles and runs every contender of a case.

    Args:
      case: the setting and the contenders.
      repeats: timings of each contender.
      memory_limit: bytes of temporary memory above which a contender is compiled but not run.
    """
    measurements: list[Measurement] = []
    with contextlib.ExitStack() as stack:
        programs: dict[tuple[str, str], Runnable] = {}
        for passes in case.passes:
            for name, contender in case.contenders.items():
                programs[passes, name] = stack.enter_context(contextlib.closing(contender.prepare(passes)))
        timings = time_in_turn(
            {key: program.run for key, program in programs.items() if (program.temporary_bytes or 0) <= memory_limit},
            repeats,
        )
        baseline = next(iter(case.contenders))
        for (passes, name), program in programs.items():
            first = programs[passes, baseline]
            measurements.append(
                Measurement(
                    case.section,
                    case.setting,
                    case.variables,
                    name,
                    passes,
                    seconds=Spread.of(timings[passes, name]) if (passes, name) in timings else None,
                    temporary_bytes=program.temporary_bytes,
                    compile_seconds=program.compile_seconds,
                    time_ratio=_ratio(timings.get((passes, name)), timings.get((passes, baseline))),
                    memory_ratio=_memory_ratio(program.temporary_bytes, first.temporary_bytes),
                )
            )
    gc.collect()
    return measurements


def time_in_turn(runs: Mapping[Key, Callable[[], float]], repeats: int) -> dict[Key, list[float]]:
    """Times programs one after the other, round by round.

    Args:
      runs: functions that run a program once and return its seconds.
      repeats: the number of rounds; a first run of each program is not counted.

    Returns:
      For each program one time a round: the mean of as many runs as take a tenth of a second.
    """
    runs_a_round = {name: max(1, math.ceil(SHORTEST_TIMING / max(run(), 1e-6))) for name, run in runs.items()}
    timings: dict[Key, list[float]] = {name: [] for name in runs}
    for _ in range(repeats):
        for name, run in runs.items():
            timings[name].append(statistics.fmean(run() for _ in range(runs_a_round[name])))
    return timings


def _ratio(times: list[float] | None, baseline: list[float] | None) -> Spread | None:
    if times is None or baseline is None:
        return None
    return Spread.of([seconds / first for seconds, first in zip(times, baseline, strict=True)])


def _memory_ratio(used: int | None, baseline: int | None) -> float | None:
    return used / baseline if used is not None and baseline else None

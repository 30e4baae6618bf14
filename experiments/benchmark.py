"""Times and memory of layers and training steps: `python -m experiments.benchmark [--quick] [--only SECTION] ...`.

Contenders of one case are run in turn, in one process, so that their ratio means more than either time. Memory is the
temporary memory of the compiled program, as XLA plans it: besides the arguments and the result.
"""

import argparse
import dataclasses
import gc
import json
import pathlib
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import jax

from experiments import _benchmark_cases as cases
from experiments import _benchmark_report as report
from experiments.errors import Parser, UserError, fail
from experiments.results.environment import environment

DOCS = pathlib.Path(__file__).parents[1] / "docs" / "performance.md"


@dataclasses.dataclass(frozen=True)
class Measurement:
    """One contender in one case.

    Attributes:
      section, setting, variable: of the case.
      contender: its name.
      passes: "forward", "forward and backward" or "step".
      seconds: the median time of a run; None where it was not run, for its memory.
      temporary_bytes: the memory it needs besides arguments and result.
      compile_seconds: tracing and compilation.
      time_ratio, memory_ratio: this contender over the first one of the case.
    """

    section: str
    setting: dict[str, Any]
    variable: str
    contender: str
    passes: str
    seconds: float | None
    temporary_bytes: int
    compile_seconds: float
    time_ratio: float | None = None
    memory_ratio: float | None = None


def main(arguments: list[str] | None = None) -> None:
    """Runs the benchmark.

    Args:
      arguments: the arguments after the program's name; those of the process by default.

    Raises:
      SystemExit: with code 2 and one line on the error stream after a mistake of the user.
    """
    try:
        options = parse(sys.argv[1:] if arguments is None else arguments)
        run(options)
    except UserError as error:
        fail(error)


def parse(arguments: list[str]) -> argparse.Namespace:
    """Reads the options.

    Raises:
      UserError: an unknown option, section or value, or an output directory that cannot be made.
    """
    parser = Parser(
        prog="python -m experiments.benchmark", description="Times and memory of layers and training steps."
    )
    parser.add_argument("--quick", action="store_true", help="small sizes, to see that everything runs")
    parser.add_argument(
        "--only", action="append", metavar="SECTION", help=f"of {', '.join(cases.sections(True))}; repeatable"
    )
    parser.add_argument(
        "--repeats", type=int, default=None, help="runs of which the median is taken (5; 3 with --quick)"
    )
    parser.add_argument("--output", default="runs/benchmark", help="the directory of benchmark.json and the plots")
    parser.add_argument(
        "--memory-limit", type=float, default=4.0, help="GB of temporary memory above which nothing is run"
    )
    parser.add_argument("--write-docs", action="store_true", help="put the table into docs/performance.md")
    options = parser.parse_args(arguments)
    options.repeats = (3 if options.quick else 5) if options.repeats is None else options.repeats
    if options.repeats < 1:
        raise UserError(f"--repeats: expected a positive number, came {options.repeats}")
    if options.memory_limit <= 0:
        raise UserError(f"--memory-limit: expected a positive number of GB, came {options.memory_limit}")
    known = list(cases.sections(options.quick))
    for name in options.only or ():
        if name not in known:
            raise UserError(f"--only {name!r}: expected one of {', '.join(known)}")
    options.only = options.only or known
    options.output = pathlib.Path(options.output)
    if options.write_docs and options.quick:
        raise UserError("--write-docs is for the whole benchmark: leave --quick out")
    if options.write_docs and not DOCS.is_file():
        raise UserError(f"--write-docs: there is no {DOCS.name} beside the sources; run from a checkout")
    try:
        options.output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"--output {options.output}: cannot be made ({error.strerror})") from error
    return options


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Measures everything that the options ask for, prints tables and writes the files after each section.

    Other sections that an earlier call has measured into the same directory stay: a long benchmark can be made in parts.

    Returns:
      What benchmark.json holds.
    """
    makers = cases.sections(options.quick)
    measured = {name: found for name, found in _earlier(options).items() if name not in options.only}
    result: dict[str, Any] = {}
    for section in options.only:
        found = []
        for case in makers[section]():
            found += measure(case, repeats=options.repeats, memory_limit=options.memory_limit * 1e9)
            report.progress(case)
        report.show(section, found)
        measured[section] = found
        measurements = [measurement for name in makers for measurement in measured.get(name, [])]
        result = {
            "environment": environment(),
            "repeats": options.repeats,
            "quick": options.quick,
            "not_measured": [name for name in makers if name not in measured],
            "measurements": [dataclasses.asdict(measurement) for measurement in measurements],
            "growth": report.growth(measurements),
        }
        report.write(result, measurements, options.output)
    report.show_growth(result["growth"])
    if options.write_docs:
        report.write_docs(result, measurements, DOCS)
    return result


def _earlier(options: argparse.Namespace) -> dict[str, list[Measurement]]:
    """What benchmark.json holds, by section."""
    path = options.output / "benchmark.json"
    try:
        result = json.loads(path.read_text()) if path.exists() else {}
        if result.get("quick") != options.quick:
            return {}
        found: dict[str, list[Measurement]] = {}
        for fields in result["measurements"]:
            found.setdefault(fields["section"], []).append(Measurement(**fields))
        return found
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise UserError(f"{path} cannot be read ({error}); remove it, or choose another --output") from error


def measure(case: cases.Case, *, repeats: int, memory_limit: float) -> list[Measurement]:
    """Compiles and runs every contender of a case.

    Args:
      case: the setting.
      repeats: timed runs of each contender, one after the other in turn.
      memory_limit: bytes of temporary memory above which a contender is compiled and not run.
    """
    passes: dict[str, Callable] = {"forward": lambda f: f, "forward and backward": cases.with_backward}
    if case.is_step:
        passes = {"step": lambda f: f}
    measurements = []
    for name, transform in passes.items():
        programs = {}
        for contender, make in case.contenders.items():
            function, arguments = make()
            programs[contender] = (*_compile(transform(function), arguments), arguments)
        runnable = {
            contender: _stepper(compiled, arguments, case.is_step)
            for contender, (compiled, _, arguments) in programs.items()
            if compiled.memory_analysis().temp_size_in_bytes <= memory_limit
        }
        seconds = _time_in_turn(runnable, repeats)
        first = next(iter(case.contenders))
        first_bytes = programs[first][0].memory_analysis().temp_size_in_bytes
        for contender, (compiled, compile_seconds, _) in programs.items():
            used = compiled.memory_analysis().temp_size_in_bytes
            timed = contender in seconds and first in seconds
            measurements.append(
                Measurement(
                    section=case.section,
                    setting=case.setting,
                    variable=case.variable,
                    contender=contender,
                    passes=name,
                    seconds=seconds.get(contender),
                    temporary_bytes=used,
                    compile_seconds=compile_seconds,
                    time_ratio=seconds[contender] / seconds[first] if timed else None,
                    memory_ratio=used / first_bytes if first_bytes else None,
                )
            )
        del programs, runnable
        gc.collect()
    return measurements


def _compile(function: Callable, arguments: tuple[Any, ...]) -> tuple[jax.stages.Compiled, float]:
    start = time.perf_counter()
    jitted = function if hasattr(function, "lower") else jax.jit(function)
    compiled = jitted.lower(*arguments).compile()
    return compiled, time.perf_counter() - start


def _stepper(compiled: jax.stages.Compiled, arguments: tuple[Any, ...], is_step: bool) -> Callable[[], Any]:
    """A run without arguments; a training step goes on from the state that the last one returned."""
    first, *rest = arguments

    def step() -> Any:
        nonlocal first
        result = compiled(first, *rest)
        if is_step:
            first = result[0]
        return result

    return step


def _time_in_turn(runs: dict[str, Callable[[], Any]], repeats: int) -> dict[str, float]:
    times: dict[str, list[float]] = {name: [] for name in runs}
    for repeat in range(repeats + 1):
        for name, step in runs.items():
            start = time.perf_counter()
            jax.block_until_ready(step())
            if repeat > 0:  # the first run touches its memory for the first time
                times[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) for name, values in times.items()}


if __name__ == "__main__":
    main()

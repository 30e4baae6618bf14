"""What the benchmark shows and writes: tables, growth exponents, benchmark.json, plots, docs/performance.md."""

import collections
import json
import pathlib
from collections.abc import Iterable
from typing import Any

import numpy as np
import rich
from matplotlib.figure import Figure
from rich.table import Table

from experiments._benchmark_cases import Case
from experiments.errors import UserError

BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"
COLUMNS = ("setting", "pass", "contender", "ms", "time ratio", "MB", "memory ratio", "compile s")


def progress(case: Case) -> None:
    """One line for each finished case: the whole benchmark takes a while."""
    rich.print(f"[dim]{case.section}: {_setting(case.setting)}[/dim]")


def show(section: str, measurements: list[Any]) -> None:
    """Prints the table of one section; ratios are to the first contender of each setting."""
    table = Table(title=section)
    for column in COLUMNS:
        table.add_column(column, justify="left" if column in COLUMNS[:3] else "right")
    for measurement in measurements:
        table.add_row(*_row(measurement))
    rich.print(table)


def growth(measurements: list[Any]) -> list[dict[str, Any]]:
    """Exponents p of time and memory ~ variable^p, by least squares on logarithms over each series of three or more."""
    series = collections.defaultdict(list)
    for measurement in measurements:
        if measurement.variable:
            key = (measurement.section, measurement.variable, measurement.contender, measurement.passes)
            series[key].append(measurement)
    return [
        dict(
            zip(("section", "variable", "contender", "passes"), key, strict=True),
            time=_exponent([(point.setting[key[1]], point.seconds) for point in points]),
            memory=_exponent([(point.setting[key[1]], point.temporary_bytes) for point in points]),
        )
        for key, points in series.items()
    ]


def show_growth(exponents: list[dict[str, Any]]) -> None:
    """Prints the exponents."""
    fitted = [line for line in exponents if line["time"] is not None or line["memory"] is not None]
    if not fitted:
        return
    table = Table(title="growth: exponents of time and memory")
    for column in ("section", "in", "contender", "pass", "time", "memory"):
        table.add_column(column)
    for line in fitted:
        table.add_row(*_growth_row(line))
    rich.print(table)


def write(result: dict[str, Any], measurements: list[Any], folder: pathlib.Path) -> None:
    """Writes benchmark.json and one plot for each section with a series.

    Raises:
      UserError: the files cannot be written.
    """
    try:
        (folder / "benchmark.json").write_text(json.dumps(result, indent=2) + "\n")
        for section in dict.fromkeys(measurement.section for measurement in measurements):
            points = [m for m in measurements if m.section == section and m.variable]
            if points:
                _plot(points, folder / f"{section.replace(' ', '_')}.png")
    except OSError as error:
        raise UserError(f"--output {folder}: cannot be written ({error.strerror})") from error
    rich.print(f"[dim]benchmark.json and plots in {folder}[/dim]")


def write_docs(result: dict[str, Any], measurements: list[Any], path: pathlib.Path) -> None:
    """Replaces what stands between the marks of a page by the tables.

    Raises:
      UserError: the page has no marks.
    """
    text = path.read_text()
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise UserError(f"{path}: expected the lines {BEGIN} and {END}, between which the tables go")
    where = result["environment"]
    lines = [
        "",
        f"Measured on {where['num_devices']} x {where['device']} ({where['platform']}, {where['machine']}) with jax "
        f"{where['jax']} and flax {where['flax']}, at commit {where['commit']}; medians of {result['repeats']} runs.",
        "",
    ]
    if result["not_measured"]:
        lines += [f"Not measured yet: {', '.join(result['not_measured'])}.", ""]
    for section in dict.fromkeys(measurement.section for measurement in measurements):
        rows = [_row(measurement) for measurement in measurements if measurement.section == section]
        lines += [f"### {section.capitalize()}", "", *_markdown(COLUMNS, rows), ""]
    fitted = [_growth_row(line) for line in result["growth"] if line["time"] is not None or line["memory"] is not None]
    lines += ["### Growth", "", *_markdown(("section", "in", "contender", "pass", "time", "memory"), fitted), ""]
    path.write_text(before + BEGIN + "\n".join(lines) + END + after)


def _row(measurement: Any) -> tuple[str, ...]:
    return (
        _setting(measurement.setting),
        measurement.passes,
        measurement.contender,
        "not run" if measurement.seconds is None else f"{1e3 * measurement.seconds:.4g}",
        _number(measurement.time_ratio),
        f"{measurement.temporary_bytes / 1e6:.4g}",
        _number(measurement.memory_ratio),
        f"{measurement.compile_seconds:.1f}",
    )


def _growth_row(line: dict[str, Any]) -> tuple[str, ...]:
    words = (line[key] for key in ("section", "variable", "contender", "passes"))
    return *words, _number(line["time"]), _number(line["memory"])


def _setting(setting: dict[str, Any]) -> str:
    return " ".join(f"{name}={'all' if value is None else value}" for name, value in setting.items())


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _exponent(points: Iterable[tuple[float, float | None]]) -> float | None:
    known = [(size, cost) for size, cost in points if cost]
    if len(known) < 3:
        return None
    sizes, costs = np.log(np.asarray(known, float)).T
    return float(np.polyfit(sizes, costs, 1)[0])


def _markdown(columns: Iterable[str], rows: Iterable[Iterable[str]]) -> list[str]:
    columns = list(columns)
    return ["| " + " | ".join(line) + " |" for line in (columns, ["---"] * len(columns), *map(list, rows))]


def _plot(points: list[Any], path: pathlib.Path) -> None:
    """Time and memory against each size that was varied, on logarithmic axes."""
    variables = list(dict.fromkeys(point.variable for point in points))
    figure = Figure(figsize=(3.6 * len(variables), 6), layout="constrained")
    grid = figure.subplots(2, len(variables), squeeze=False)
    for column, variable in enumerate(variables):
        lines = collections.defaultdict(list)
        for point in points:
            if point.variable == variable:
                lines[point.contender, point.passes].append(point)
        for (contender, passes), series in lines.items():
            sizes = [point.setting[variable] for point in series]
            style = {
                "label": f"{contender}, {passes}",
                "marker": "o",
                "linestyle": "-" if "backward" in passes else "--",
            }
            grid[0, column].plot(sizes, [np.nan if p.seconds is None else p.seconds for p in series], **style)
            grid[1, column].plot(sizes, [p.temporary_bytes / 1e6 for p in series], **style)
        for axes, unit in zip(grid[:, column], ("seconds", "MB"), strict=True):
            axes.set(xscale="log", yscale="log", xlabel=variable, ylabel=unit)
            axes.grid(alpha=0.3)
    grid[0, 0].legend(fontsize=7)
    figure.savefig(path, dpi=120)

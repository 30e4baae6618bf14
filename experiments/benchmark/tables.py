"""Tables of measurements: on a terminal of 80 columns, and in Markdown."""

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import rich
from rich.console import Console
from rich.table import Table

from experiments.benchmark.growth import Growth
from experiments.benchmark.measurement import Measurement, Spread

# Columns of the terminal and their widths; with a space after each they fill a line.
COLUMNS = (
    ("contender", 17),
    ("ms", 6),
    ("min–max", 13),
    ("time ratio", 6),
    ("min–max", 11),
    ("MB", 6),
    ("memory ratio", 6),
    ("compile s", 7),
)
MARKDOWN = ("setting", "passes", "contender", "ms (min–max)", "time ratio (min–max)", "MB", "memory ratio", "compile s")
GROWTH = ("section", "size", "contender", "passes", "time", "memory")
UNKNOWN = "-"


def print_section(section: str, measurements: Sequence[Measurement], console: Console | None = None) -> None:
    """Prints the measurements of a section; ratios are relative to the first contender of each setting."""
    console = console or rich.get_console()
    console.print(f"\n[bold]{section}[/bold]")
    console.print(_table(show_header=True))
    for title, group in _by_setting(measurements):
        console.print(f"[cyan]{title}[/cyan]")
        table = _table(show_header=False)
        for measurement in group:
            table.add_row(*_cells(measurement))
        console.print(table)


def print_growth(fits: Sequence[Growth], console: Console | None = None) -> None:
    """Prints the exponents of time and memory."""
    if not fits:
        return
    console = console or rich.get_console()
    table = Table(title="growth: exponents of time and memory in one size", box=None, padding=(0, 1, 0, 0))
    for column in GROWTH:
        table.add_column(column, no_wrap=True, justify="right" if column in GROWTH[-2:] else "left")
    for fit in fits:
        table.add_row(*_growth_cells(fit))
    console.print(table)


def markdown_section(section: str, measurements: Iterable[Measurement]) -> list[str]:
    """The lines of a section of a page."""
    rows = []
    for measurement in measurements:
        contender, *cells = _cells(measurement)
        milliseconds, time_range, ratio, ratio_range, *rest = cells
        rows.append(
            (
                setting_text(measurement.setting),
                measurement.passes,
                contender,
                _with_range(milliseconds, time_range),
                _with_range(ratio, ratio_range),
                *rest,
            )
        )
    return [f"### {section.capitalize()}", "", *_markdown(MARKDOWN, rows), ""]


def markdown_growth(fits: Iterable[Growth]) -> list[str]:
    """The lines of the section on growth."""
    return ["### Growth", "", *_markdown(GROWTH, map(_growth_cells, fits)), ""]


def setting_text(setting: dict[str, Any]) -> str:
    """The sizes of a setting in one line."""
    return " ".join(f"{name}={'all' if value is None else value}" for name, value in setting.items())


def _table(*, show_header: bool) -> Table:
    table = Table(box=None, padding=(0, 1, 0, 0), show_header=show_header, pad_edge=False)
    for column, width in COLUMNS:
        table.add_column(column, width=width, no_wrap=not show_header, justify="left" if width > 13 else "right")
    return table


def _by_setting(measurements: Iterable[Measurement]) -> Iterator[tuple[str, list[Measurement]]]:
    def title(measurement: Measurement) -> str:
        return f"{setting_text(measurement.setting)}, {measurement.passes}"

    return ((text, list(group)) for text, group in itertools.groupby(measurements, title))


def _cells(measurement: Measurement) -> tuple[str, ...]:
    used, compilation = measurement.temporary_bytes, measurement.compile_seconds
    return (
        measurement.contender,
        *(("not run", "") if measurement.seconds is None else _spread(measurement.seconds, _milliseconds)),
        *((UNKNOWN, "") if measurement.time_ratio is None else _spread(measurement.time_ratio, _ratio)),
        UNKNOWN if used is None else _significant(used / 1e6),
        UNKNOWN if measurement.memory_ratio is None else _ratio(measurement.memory_ratio),
        UNKNOWN if compilation is None else f"{compilation:.1f}",
    )


def _spread(spread: Spread, text: Callable[[float], str]) -> tuple[str, str]:
    median, low, high = (text(value) for value in (spread.median, spread.minimum, spread.maximum))
    return median, "" if spread.minimum == spread.maximum else f"{low}–{high}"


def _milliseconds(seconds: float) -> str:
    return _significant(1e3 * seconds)


def _significant(value: float) -> str:
    """Three significant digits without an exponent."""
    return f"{value:.0f}" if value >= 100 or value == 0 else f"{value:.3g}"


def _ratio(value: float) -> str:
    return f"{value:.2f}" if value < 10 else f"{value:.0f}" if value >= 100 else f"{value:.1f}"


def _with_range(value: str, limits: str) -> str:
    return f"{value} ({limits})" if limits else value


def _growth_cells(fit: Growth) -> tuple[str, ...]:
    exponents = (UNKNOWN if exponent is None else f"{exponent:.2f}" for exponent in (fit.time, fit.memory))
    return (fit.section, fit.variable, fit.contender, fit.passes, *exponents)


def _markdown(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    return ["| " + " | ".join(line) + " |" for line in (columns, ["---"] * len(columns), *rows)]

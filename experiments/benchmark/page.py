"""Writes the tables of the benchmark into docs/performance.md."""

import pathlib
from collections.abc import Sequence

from experiments.benchmark import tables
from experiments.benchmark.growth import growth
from experiments.benchmark.measurement import by_section
from experiments.benchmark.record import Record
from experiments.errors import UserError

PAGE = pathlib.Path(__file__).parents[2] / "docs" / "performance.md"
BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"


def write_page(record: Record, path: pathlib.Path, not_measured: Sequence[str]) -> None:
    """Replaces the text between the markers of a page by the tables.

    Args:
      record: the measurements.
      path: the page.
      not_measured: sections that the record lacks.

    Raises:
      UserError: a page without the markers.
    """
    text = path.read_text()
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise UserError(f"{path}: expected the lines {BEGIN} and {END}; add them where the tables belong")
    lines = ["", _provenance(record), ""]
    if not_measured:
        lines += [f"Not measured yet: {', '.join(not_measured)}.", ""]
    for section, measurements in by_section(record.measurements).items():
        lines += tables.markdown_section(section, measurements)
    lines += tables.markdown_growth(growth(record.measurements))
    path.write_text(before + BEGIN + "\n".join(lines) + END + after)


def _provenance(record: Record) -> str:
    where = record.environment
    return (
        f"Measured on {where['num_devices']} x {where['device']} ({where['platform']}, {where['machine']}) with jax "
        f"{where['jax']} and flax {where['flax']}, at commit {where['commit']}: median, minimum and maximum of "
        f"{record.repeats} timings."
    )

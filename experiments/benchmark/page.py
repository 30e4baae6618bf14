"""Writes the tables of the benchmark into docs/performance.md."""

import pathlib
from collections.abc import Sequence

from experiments.benchmark import tables
from experiments.benchmark.growth import growth
from experiments.benchmark.measurement import by_section
from experiments.benchmark.record import Provenance, Record
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
    lines = ["Each time is the median, with the minimum and the maximum.", ""]
    if not_measured:
        lines += [f"Not measured yet: {', '.join(not_measured)}.", ""]
    for section, measurements in by_section(record.measurements).items():
        title, *table = tables.markdown_section(section, measurements)
        lines += [title, "", _where(record.provenance[section]), *table]
    lines += tables.markdown_growth(growth(record.measurements))
    replace_between(path, BEGIN, END, lines)


def replace_between(path: pathlib.Path, begin: str, end: str, lines: Sequence[str]) -> None:
    """Replaces the text between two markers of a page.

    Args:
      path: the page.
      begin, end: the markers, which stay.
      lines: the new text.

    Raises:
      UserError: a page without the markers.
    """
    before, first, rest = path.read_text().partition(begin)
    _, last, after = rest.partition(end)
    if not first or not last:
        raise UserError(f"{path}: expected the lines {begin} and {end}; add them where the tables belong")
    path.write_text("\n".join([before + begin, *lines, end + after]))


def _where(provenance: Provenance) -> str:
    where = provenance.environment
    pages = ", with huge pages" if "hugetlb=1" in (where.get("glibc_tunables") or "") else ""
    return (
        f"Measured on {where['num_devices']} x {where['device']} ({where['platform']}, {where['machine']}) with jax "
        f"{where['jax']} and flax {where['flax']}, at commit {where['commit']}, {provenance.repeats} times{pages}."
    )

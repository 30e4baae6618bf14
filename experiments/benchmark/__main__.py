"""Times layers and training steps: `python -m experiments.benchmark [--quick] [--only SECTION] ...`.

Memory is the temporary memory of the compiled program as XLA plans it, without arguments and results.
"""

import rich

from experiments.benchmark import options, page, plots, record, tables
from experiments.benchmark.cases import sections
from experiments.benchmark.growth import growth
from experiments.benchmark.measure import measure
from experiments.benchmark.measurement import Measurement, by_section
from experiments.benchmark.options import Options
from experiments.errors import UserError, exit_on_user_error
from experiments.huge_pages import restart_with_huge_pages
from experiments.results.environment import environment


@exit_on_user_error()
def main(arguments: list[str] | None = None) -> None:
    """Runs the benchmark."""
    run(options.parse(arguments))


def run(chosen: Options) -> None:
    """Measures the chosen sections, prints their tables and writes the files after each section.

    Sections that an earlier run has measured into the same directory are kept, so that a long benchmark can be run in
    parts.
    """
    cases = sections(chosen.quick, chosen.torch_python)
    earlier = record.load(chosen.output, quick=chosen.quick)
    measured = {name: list(of) for name, of in by_section(earlier.measurements).items() if name not in chosen.sections}
    provenance = {name: earlier.provenance[name] for name in measured}
    for section in chosen.sections:
        measured[section] = []
        for case in cases[section]():
            rich.print(f"[dim]{section}: {tables.setting_text(case.setting)}[/dim]")
            measured[section] += measure(case, repeats=chosen.repeats, memory_limit=chosen.memory_limit)
        tables.print_section(section, measured[section])
        in_order = [measurement for name in cases for measurement in measured.get(name, ())]
        provenance[section] = record.Provenance(environment(), chosen.repeats)
        result = record.Record(provenance, chosen.quick, in_order)
        _write(result, chosen, not_measured=[name for name in cases if name not in measured])
    tables.print_growth(growth([measurement for group in measured.values() for measurement in group]))


def _write(result: record.Record, chosen: Options, not_measured: list[str]) -> None:
    try:
        record.save(result, chosen.output)
        for section, measurements in by_section(result.measurements).items():
            in_series: list[Measurement] = [measurement for measurement in measurements if measurement.variables]
            if in_series:
                plots.plot(in_series, chosen.output / f"{section.replace(' ', '_')}.png")
    except OSError as error:
        raise UserError(f"--output {chosen.output}: cannot be written ({error.strerror})") from error
    if chosen.write_docs:
        page.write_page(result, page.PAGE, not_measured)
    rich.print(f"[dim]{record.FILE} and plots are in {chosen.output}[/dim]")


if __name__ == "__main__":
    restart_with_huge_pages()
    main()

"""Records finished runs and writes the page of results: `python -m experiments.report [--runs DIR] [--output FILE]`.

A run is recorded in the folder `recorded` beside the page, and the page is written from all records there: those of earlier
runs and of other machines stay. The runs of a folder that differ only in their seeds are one record, named after the folder.
Findings and remarks on the page are written by hand and kept.
"""

import pathlib

from experiments.errors import Parser, UserError, exit_on_user_error
from experiments.results import page, plots, records
from experiments.results.collecting import collect, merge_seeds, record_of
from experiments.results.commands import command

OUTPUT = records.FOLDER.parent / "RESULTS.md"


@exit_on_user_error()
def main(arguments: list[str] | None = None) -> None:
    """Records the runs, and writes the page and its picture."""
    parser = Parser(description="Records finished runs and writes the page of results.")
    parser.add_argument("--runs", help="a directory that contains work directories, at any depth; else only the page")
    parser.add_argument(
        "--output", default=str(OUTPUT), help="the page; records lie in the folder `recorded` beside it"
    )
    options = parser.parse_args(arguments)
    output = pathlib.Path(options.output)
    folder = output.parent / records.FOLDER.name
    try:
        if options.runs is not None:
            runs = merge_seeds(collect(pathlib.Path(options.runs)))
            records.save({name: record_of(result, command(result)) for name, result in runs.items()}, folder)
            print(f"{len(runs)} runs recorded in {folder}")
        write(output, folder)
    except OSError as error:
        raise UserError(f"{error.filename or output} cannot be written ({error.strerror})") from error


def write(output: pathlib.Path, folder: pathlib.Path) -> None:
    """Writes the page, and its picture beside it, from the records in a folder.

    Raises:
      UserError: there are no records.
    """
    recorded = records.load(folder)
    if not recorded:
        raise UserError(f"--runs: expected finished runs, or records in {str(folder)!r}; got neither; name a directory")
    kept = page.kept_parts(output.read_text()) if output.exists() else {}
    picture = output.with_suffix(".svg")
    output.write_text(page.render(recorded, **kept, plot=picture.name))
    shown = list(page.points(recorded))
    if shown:
        plots.errors(shown, picture)
    print(f"{len(recorded)} runs on {output}")


if __name__ == "__main__":
    main()

"""The options of `python -m experiments.benchmark`."""

import argparse
import dataclasses
import pathlib

from experiments.benchmark.cases import sections
from experiments.benchmark.page import PAGE
from experiments.benchmark.torch_process import find_interpreter
from experiments.errors import Parser, UserError


@dataclasses.dataclass(frozen=True)
class Options:
    """What to measure, and where to write it.

    Attributes:
      sections: what to measure.
      quick: small sizes.
      repeats: timings of each contender.
      output: the directory of benchmark.json and the plots.
      memory_limit: bytes of temporary memory above which nothing is run.
      torch_python: an interpreter with PyTorch.
      write_docs: whether the tables go into docs/performance.md.
    """

    sections: tuple[str, ...]
    quick: bool
    repeats: int
    output: pathlib.Path
    memory_limit: float
    torch_python: pathlib.Path | None
    write_docs: bool


def parse(arguments: list[str] | None) -> Options:
    """Reads the options, by default those of the process.

    Raises:
      UserError: an unknown option, section or value, or an output directory that cannot be made.
    """
    parsed = _parser().parse_args(arguments)
    _check(parsed)
    output = pathlib.Path(parsed.output)
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"--output {output}: cannot be made ({error.strerror})") from error
    return Options(
        sections=tuple(parsed.only or sections(parsed.quick)),
        quick=parsed.quick,
        repeats=parsed.repeats or (3 if parsed.quick else 5),
        output=output,
        memory_limit=parsed.memory_limit * 1e9,
        torch_python=find_interpreter(parsed.torch_python),
        write_docs=parsed.write_docs,
    )


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog="python -m experiments.benchmark", description="Time and memory of layers and training steps.")
    parser.add_argument("--quick", action="store_true", help="small sizes, to check that everything runs")
    parser.add_argument(
        "--only", action="append", metavar="SECTION", help=f"one of {', '.join(sections(True))}; repeatable"
    )
    parser.add_argument(
        "--repeats", type=int, help="timings of each program: median, minimum and maximum (5; 3 with --quick)"
    )
    parser.add_argument("--output", default="runs/benchmark", help="the directory of benchmark.json and the plots")
    parser.add_argument(
        "--memory-limit", type=float, default=4.0, help="GB of temporary memory above which nothing is run (4)"
    )
    parser.add_argument(
        "--torch-python",
        metavar="PYTHON",
        help="a Python interpreter with PyTorch, to time its training steps beside ours (this one, if it has PyTorch)",
    )
    parser.add_argument("--write-docs", action="store_true", help="write the tables into docs/performance.md")
    return parser


def _check(parsed: argparse.Namespace) -> None:
    if parsed.repeats is not None and parsed.repeats < 1:
        raise UserError(f"--repeats: expected a positive number; got {parsed.repeats}")
    if parsed.memory_limit <= 0:
        raise UserError(f"--memory-limit: expected a positive number of GB; got {parsed.memory_limit}")
    known = list(sections(parsed.quick))
    for name in parsed.only or ():
        if name not in known:
            raise UserError(f"--only: expected one of {', '.join(known)}; got {name!r}")
    if parsed.write_docs and parsed.quick:
        raise UserError("--write-docs: expected the full benchmark; got --quick; leave --quick out")
    if parsed.write_docs and not PAGE.is_file():
        raise UserError(f"--write-docs: there is no {PAGE.name} beside the sources; run from a checkout")

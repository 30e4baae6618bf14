"""The logs of a run: metrics.jsonl, TensorBoard events, and the terminal."""

import json
import math
import pathlib
import sys
import time
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from experiments.results.tensorboard import ScalarWriter

FILE = "metrics.jsonl"


def read_metrics(workdir: pathlib.Path) -> list[dict[str, Any]]:
    """The records of metrics.jsonl; a last line that a killed run left incomplete is skipped."""
    path = workdir / FILE
    if not path.exists():
        return []
    records = []
    for line in path.read_text(errors="replace").splitlines():
        try:
            records.append(json.loads(line))
        except ValueError:
            continue
    return records


class MetricsLog:
    """Appends records to metrics.jsonl and to TensorBoard.

    Args:
      workdir: the directory of the run.
      step: the step at which the run resumes. Records of later steps and records marked `final` are dropped: the run
        writes them again.
      quiet: write nothing; for all processes but the first.
    """

    def __init__(self, workdir: pathlib.Path, *, step: int, quiet: bool = False):
        self._quiet = quiet
        if quiet:
            return
        path = workdir / FILE
        earlier = read_metrics(workdir) if step else []
        kept = [record for record in earlier if record["step"] <= step and not record.get("final")]
        temporary = path.with_suffix(".tmp")
        temporary.write_text("".join(json.dumps(record) + "\n" for record in kept))
        temporary.replace(path)
        self._file = path.open("a")
        try:
            self._events = ScalarWriter(workdir / "tensorboard")
            for record in kept:
                self._to_events(record)
        except BaseException:
            self._file.close()
            raise

    def write(self, record: dict[str, Any]) -> None:
        """Writes one record: plain data with `step` and `kind`."""
        if self._quiet:
            return
        record = {**record, "time": round(time.time(), 3)}
        self._file.write(json.dumps(record) + "\n")
        self._file.flush()
        self._to_events(record)
        self._events.flush()

    def __enter__(self) -> "MetricsLog":
        return self

    def __exit__(self, *_: object) -> None:
        if not self._quiet:
            try:
                self._file.close()
            finally:
                self._events.close()

    def _to_events(self, record: dict[str, Any]) -> None:
        for name, value in record.items():
            if isinstance(value, int | float) and name not in ("step", "time") and math.isfinite(value):
                self._events.write(f"{record['kind']}/{name}", value, record["step"], wall_time=record["time"])


class Terminal:
    """A progress bar on a terminal, plain lines elsewhere.

    Args:
      total_steps: number of steps of the whole run.
      quiet: print nothing; for all processes but the first.
    """

    def __init__(self, total_steps: int, *, quiet: bool = False):
        self.console = Console(file=sys.stdout, quiet=quiet, highlight=False, soft_wrap=not sys.stdout.isatty())
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[status]}"),
            TimeRemainingColumn(),
        )
        self._progress = Progress(*columns, console=self.console, disable=not self.console.is_terminal or quiet)
        self._task = self._progress.add_task("training", total=total_steps, status="compiling ...")

    def __enter__(self) -> "Terminal":
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def step(self, step: int, *, epoch: int, num_epochs: int, status: str | None = None) -> None:
        """Updates the bar."""
        fields: dict[str, Any] = {} if status is None else {"status": status}
        self._progress.update(self._task, completed=step, description=f"epoch {epoch}/{num_epochs}", **fields)

    def say(self, text: str) -> None:
        """Prints a line above the bar."""
        self.console.print(text, markup=False)

"""All measurements for an accelerator: `python -m experiments.benchmark.accelerator [--quick] ...`.

Each task runs in a process of its own, in order of importance, until the time is used up. The record is written after each
task; a later run resumes with the tasks that the record lacks or that failed. The first task measures what the device can
do, so that the table shows the fraction of its bandwidth and of its arithmetic that each program reaches.
"""

import argparse
import json
import pathlib
import subprocess
import sys
import time
from typing import Any

import rich

from experiments.benchmark import accelerator_tasks
from experiments.errors import Parser, UserError, exit_on_user_error

PYTHON = sys.executable
STEPS = ("rotmnist_r4_sa:64", "rotmnist_p4_cnn:128", "rotmnist_alpha_f_p4_cnn:128", "rotmnist_alpha_p4_cnn:128")
LARGE_STEP = "cifar10_alpha_p4_all_cnn:128"
PEERS = ("p4 128", "alpha_f 128", "alpha 16", "group_sa 8")
# order of the group, side of the window, side of the map
LAYERS = ("4 5 28", "4 3 28", "4 7 28", "4 5 14", "4 5 56", "2 5 28", "8 5 28", "16 5 28")
FORMS = ("blocked", "reference")
COLUMNS = ("task", "ms", "temporary GB", "compile s", "bandwidth", "arithmetic")


def tasks(chosen: argparse.Namespace) -> dict[str, list[str]]:
    """The command of each task by its name, the most important first."""

    def measure(*arguments: str) -> list[str]:
        return [PYTHON, "-m", "experiments.benchmark.accelerator_tasks", *arguments]

    steps = ("digits_r4_sa:4", "digits_alpha_f_p4_cnn:4") if chosen.quick else STEPS
    layers = ("2 3 6",) if chosen.quick else LAYERS
    large = () if chosen.quick else (LARGE_STEP,)
    commands = {"device": measure("device", "256" if chosen.quick else "8192")}
    for precision in accelerator_tasks.PRECISIONS:
        commands |= {f"step {name} {precision}": measure("step", name, precision) for name in (*steps, *large)}
    for sizes in layers:
        commands |= {f"layer {sizes} {form}": measure("layer", *sizes.split(), form) for form in chosen.form or FORMS}
    if chosen.peers:
        python = chosen.torch_python or PYTHON
        commands |= {f"peer {peer}": [python, chosen.peers, *peer.split(), chosen.peer_device] for peer in PEERS}
    tests = ["tests/functional/test_pooling.py"] if chosen.quick else ["tests/functional", "tests/nn"]
    commands["tests"] = [PYTHON, "-m", "pytest", "-q", "--no-header", *tests]
    if chosen.train:
        commands["training run"] = [PYTHON, "-m", "experiments.main", *chosen.train.split()]
    return commands


@exit_on_user_error()
def main(arguments: list[str] | None = None) -> None:
    """Runs the tasks that are left."""
    run(_parse(arguments))


def run(chosen: argparse.Namespace) -> None:
    """Runs tasks until the time is used up, and prints the table of all results."""
    end = time.monotonic() + 60 * chosen.minutes
    chosen.output.mkdir(parents=True, exist_ok=True)
    file = chosen.output / "accelerator.json"
    results = json.loads(file.read_text()) if file.exists() else {}
    for name, command in tasks(chosen).items():
        left = end - time.monotonic()
        if results.get(name, {}).get("ok"):
            continue
        if left <= 0:
            rich.print(f"[dim]no time left for: {name}[/dim]")
            continue
        results[name] = _result(command, left)
        rich.print(f"{name}: {results[name]['seconds']:.1f} s, {'ok' if results[name]['ok'] else 'failed'}")
        file.write_text(json.dumps(results, indent=2) + "\n")
    (chosen.output / "accelerator.md").write_text("\n".join(table(results)) + "\n")


def table(results: dict[str, Any]) -> list[str]:
    """The lines of a table of all programs that were timed."""
    device = results.get("device", {}).get("values") or {}
    rows = [COLUMNS, ("---",) * len(COLUMNS)]
    for name, result in results.items():
        values = result.get("values") or {}
        if "median" in values:
            rows.append((name, *_cells(values, device)))
    return ["| " + " | ".join(row) + " |" for row in rows]


def _cells(values: dict[str, float], device: dict[str, float]) -> tuple[str, ...]:
    def fraction(count: str, rate: str) -> str:
        known = count in values and rate in device
        return f"{values[count] / values['median'] / device[rate]:.1%}" if known else "-"

    return (
        f"{1e3 * values['median']:.3g}",
        f"{values['temporary_bytes'] / 1e9:.3g}" if "temporary_bytes" in values else "-",
        f"{values['compile_seconds']:.1f}" if "compile_seconds" in values else "-",
        fraction("bytes", "bytes_per_second"),
        fraction("operations", "operations_per_second"),
    )


def _result(command: list[str], seconds: float) -> dict[str, Any]:
    """Runs a task."""
    start = time.monotonic()
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds)
        output, ok = done.stdout + done.stderr[-2000:] * (done.returncode != 0), done.returncode == 0
        lines = done.stdout.strip().splitlines()
    except subprocess.TimeoutExpired:
        output, ok, lines = "the time was used up", False, []
    return {"ok": ok, "seconds": time.monotonic() - start, "values": _values(lines), "output": output[-4000:]}


def _values(lines: list[str]) -> dict[str, Any] | None:
    """The values in the last line of output, as JSON; a peer prints its median alone, and other programs print neither."""
    try:
        values = json.loads(lines[-1]) if lines else None
    except ValueError:
        return None
    if isinstance(values, float):
        return {"median": values}
    return values if isinstance(values, dict) else None


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = Parser(prog="python -m experiments.benchmark.accelerator", description="Measures an accelerator.")
    parser.add_argument("--quick", action="store_true", help="tiny sizes, to check that everything runs")
    parser.add_argument("--minutes", type=float, default=14.0, help="after which no task starts or continues (14)")
    parser.add_argument(
        "--output", type=pathlib.Path, default=pathlib.Path("runs/accelerator"), help="the directory of the results"
    )
    parser.add_argument(
        "--form", action="append", metavar="NAME", help="a form of self-attention; repeatable (blocked, reference)"
    )
    parser.add_argument("--peers", metavar="FILE", help="a program that times PyTorch networks: NETWORK BATCH DEVICE")
    parser.add_argument("--peer-device", default="cuda", help="the device of the PyTorch networks (cuda)")
    parser.add_argument("--torch-python", metavar="PYTHON", help="the interpreter of that program")
    parser.add_argument("--train", metavar="FLAGS", help="flags of experiments.main for a training run at the end")
    parsed = parser.parse_args(arguments)
    if parsed.minutes <= 0:
        raise UserError(f"--minutes: expected a positive number; got {parsed.minutes}")
    return parsed


if __name__ == "__main__":
    main()

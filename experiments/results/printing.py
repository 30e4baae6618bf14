"""The summary of a run on the terminal."""

import pathlib
from collections.abc import Iterator
from typing import Any

from rich.console import Console
from rich.table import Table


def show(result: dict[str, Any], workdir: pathlib.Path) -> None:
    """Prints the summary: a table on a terminal, plain lines elsewhere."""
    title = f"{result['model']} on {result['dataset']}"
    lines = list(summary_lines(result, workdir))
    console = Console(highlight=False, soft_wrap=True)
    if console.is_terminal:
        table = Table(title=title, show_header=False)
        for name, value in lines:
            table.add_row(name, value)
        console.print(table)
        return
    print(f"summary of {title}")
    for name, value in lines:
        print(f"  {name}: {value}")


def summary_lines(result: dict[str, Any], workdir: pathlib.Path) -> Iterator[tuple[str, str]]:
    """The names and the values of the lines."""
    yield "test accuracy", _accuracy(result)
    yield from _symmetry(result)
    yield from _metrics(result.get("test_metrics", {}))
    if "calibration_error" in result:
        yield "calibration error", _percent(result["calibration_error"])
    yield "parameters", f"{result['parameters']:,}"
    waiting = 100 * result["waiting_for_input"]
    yield "images per second", f"{result['images_per_second']:,.0f} ({waiting:.1f} % of the time waiting for input)"
    seconds = f"{result['seconds']:.0f} s, of which {result['compile_seconds']:.0f} s compiling"
    yield "time", f"{seconds}; best epoch {result['best_epoch']}"
    if result.get("z2"):
        yield "without the group", _baseline(result["z2"])
    yield "files", f"{workdir} (summary.json, metrics.jsonl, tensorboard, checkpoints, *.png)"


def _accuracy(result: dict[str, Any]) -> str:
    low, high = result["test_accuracy_interval"]
    pixels = "pixels of " if result.get("task") == "segmentation" else ""
    interval = f"95 % interval {100 * low:.2f} to {100 * high:.2f}, {pixels}{result['num_test']:,} images"
    if result["test_accuracy_std"] is not None:
        deviation = 100 * result["test_accuracy_std"]
        interval += f", mean of {len(result['seeds'])} seeds, standard deviation {deviation:.2f}"
    return f"{_percent(result['test_accuracy'])} ({interval})"


def _symmetry(result: dict[str, Any]) -> Iterator[tuple[str, str]]:
    name = next((name for name in ("accuracy", "dice") if result.get(f"quarter_turn_{name}")), None)
    if name is None:
        return
    rotated = ", ".join(f"{100 * value:.2f}" for value in result[f"quarter_turn_{name}"])
    changes = result["equivariance"]
    is_volume = changes.get("dim") == 3
    where = (
        f"{'Dice in tiles ' if name == 'dice' else ''}at 0, 90, 180, 270 degrees{' in the slices' if is_volume else ''}"
    )
    yield where, f"{rotated} %"
    elements = "permutations and flips of the axes," if is_volume else "elements of"
    where = f"under {len(changes['elements'])} {elements} {changes['group']}"
    size = f"{changes['absolute']:.2e}, relative {max(changes['relative']):.2e}"
    yield "largest change of any logit", f"{size}, {where}"
    if "changed_pixels" in changes:
        yield (
            "pixels of another class",
            f"{100 * max(changes['changed_pixels']):.4f} % at most, under the same elements",
        )


def _metrics(measured: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for name, metric in measured.items():
        if name != "accuracy" and metric["value"] is not None:
            low, high = metric["interval"]
            yield name.replace("_", " "), f"{metric['value']:.4f} (95 % interval {low:.4f} to {high:.4f})"


def _baseline(other: dict[str, Any]) -> str:
    source = f"recorded: {other['command']}" if "command" in other else "trained here"
    return f"{_percent(other['test_accuracy'])} by {other['model']}, {other['parameters']:,} parameters ({source})"


def _percent(fraction: float) -> str:
    return f"{100 * fraction:.2f} %"

"""Networks as ONNX beside JAX, on this machine: `python -m experiments.benchmark.exported [--only NAME ...] [--write-docs]`.

For one network of each family: the size of the file, the largest difference from the logits of JAX, and the time of a
batch in onnxruntime and in JAX, measured alternately. It needs the extras `experiments` and `onnx` in one environment.
"""

import argparse
import dataclasses
import functools
import importlib.metadata
import importlib.util
import pathlib
import tempfile
import time
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
import rich
from flax import nnx

from experiments.benchmark.measure import time_in_turn
from experiments.benchmark.measurement import Spread
from experiments.benchmark.page import PAGE, replace_between
from experiments.errors import Parser, UserError, did_you_mean, exit_on_user_error
from experiments.huge_pages import restart_with_huge_pages
from experiments.results.environment import environment
from gequi_jax import export, models

BEGIN, END = "<!-- exported: begin -->", "<!-- exported: end -->"
COLUMNS = ("network", "file MB", "largest difference", "batch", "JAX ms", "onnxruntime ms", "ratio")
NETWORKS = (
    "rotmnist_z2_cnn",
    "rotmnist_p4_cnn",
    "rotmnist_alpha_f_p4_cnn",
    "rotmnist_alpha_p4_cnn",
    "rotmnist_z2_sa",
    "rotmnist_r4_sa",
    "cifar10_p4_all_cnn",
    "cifar10_p4m_resnet44",
    "pcam_p4_densenet",
    "unet_p4",
    "rotmnist_vit_p4",
    "volume_octahedral_cnn",
)
CHECKED_BATCHES = (1, 3, 17)
TIMED_BATCHES = (1, 17)
Runs = dict[tuple[int, str], Callable[[], Any]]


@dataclasses.dataclass(frozen=True)
class Exported:
    """A network as ONNX.

    Attributes:
      network: its name.
      file_bytes: the size of the file, weights included.
      difference: the largest difference between the logits, relative to the largest logit, over all checked batches.
      seconds: for each timed batch, the time in JAX and in onnxruntime.
    """

    network: str
    file_bytes: int
    difference: float
    seconds: dict[int, tuple[Spread, Spread]]


def measure_network(name: str, repeats: int) -> Exported:
    """Exports a network with random weights, compares the logits and times both forms."""
    onnxruntime = importlib.import_module("onnxruntime")
    model = models.create_model(name, rngs=nnx.Rngs(0))
    model.eval()
    graph, state = nnx.split(model)
    compiled = jax.jit(lambda images: nnx.merge(graph, state)(images))
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, "model.onnx")
        export.to_onnx(model, path)
        size = sum(file.stat().st_size for file in path.parent.iterdir())
        session = onnxruntime.InferenceSession(path)
    (argument,) = session.get_inputs()
    differences, runs = [], Runs()
    for batch in CHECKED_BATCHES:
        images = np.random.default_rng(batch).random((batch, *models.model_info(name).input_shape), np.float32)
        in_jax = functools.partial(compiled, images)
        in_onnx = functools.partial(session.run, None, {argument.name: images})
        expected = np.asarray(in_jax())
        differences.append(float(np.abs(in_onnx()[0] - expected).max() / np.abs(expected).max()))
        if batch in TIMED_BATCHES:
            runs |= {(batch, "jax"): in_jax, (batch, "onnxruntime"): in_onnx}
    timings = time_in_turn({key: functools.partial(_seconds, run) for key, run in runs.items()}, repeats)
    seconds = {
        batch: (Spread.of(timings[batch, "jax"]), Spread.of(timings[batch, "onnxruntime"])) for batch in TIMED_BATCHES
    }
    return Exported(name, size, max(differences), seconds)


def rows(network: Exported) -> list[tuple[str, ...]]:
    """The rows of the table, one for each batch."""
    head = (f"`{network.network}`", f"{network.file_bytes / 1e6:.2f}", f"{network.difference:.0e}")
    return [
        (*head, str(batch), _ms(jax_time), _ms(onnx_time), f"{onnx_time.median / jax_time.median:.2f}")
        for batch, (jax_time, onnx_time) in network.seconds.items()
    ]


def write_page(networks: Sequence[Exported], repeats: int, path: pathlib.Path) -> None:
    """Replaces the text between the markers of a page by the table."""
    where = environment()
    lines = [
        f"Measured on {where['device']} ({where['platform']}, {where['machine']}) with jax {where['jax']}, onnxruntime "
        f"{importlib.metadata.version('onnxruntime')} and jax2onnx {importlib.metadata.version('jax2onnx')}, at commit "
        f"{where['commit']}: median, minimum and maximum of {repeats} timings. The difference is relative to the largest "
        f"logit, over batches of {', '.join(map(str, CHECKED_BATCHES))}.",
        "",
        *("| " + " | ".join(row) + " |" for row in (COLUMNS, ["---"] * len(COLUMNS))),
        *("| " + " | ".join(row) + " |" for network in networks for row in rows(network)),
    ]
    replace_between(path, BEGIN, END, lines)


@exit_on_user_error()
def main(arguments: list[str] | None = None) -> None:
    """Measures the networks and prints the table."""
    chosen = _parse(arguments)
    measured = []
    for name in chosen.only or NETWORKS:
        measured.append(measure_network(name, chosen.repeats))
        for row in rows(measured[-1]):
            rich.print("  ".join(row))
    if chosen.write_docs:
        write_page(measured, chosen.repeats, PAGE)


def _seconds(run: Callable[[], Any]) -> float:
    start = time.perf_counter()
    jax.block_until_ready(run())
    return time.perf_counter() - start


def _ms(spread: Spread) -> str:
    return f"{1e3 * spread.median:.3g} ({1e3 * spread.minimum:.3g}–{1e3 * spread.maximum:.3g})"


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = Parser(prog="python -m experiments.benchmark.exported", description="Networks as ONNX beside JAX.")
    parser.add_argument("--only", action="append", default=[], metavar="NAME", help="a network; repeatable")
    parser.add_argument("--repeats", type=int, default=9, help="timings of each program (9)")
    parser.add_argument("--write-docs", action="store_true", help="write the table into docs/performance.md")
    parsed = parser.parse_args(arguments)
    for name in parsed.only:
        if name not in models.list_models():
            raise UserError(f"--only: expected a network; got {name!r}{did_you_mean(name, models.list_models())}")
    if parsed.repeats < 1:
        raise UserError(f"--repeats: expected a positive number; got {parsed.repeats}")
    missing = [package for package in ("jax2onnx", "onnxruntime") if not importlib.util.find_spec(package)]
    if missing:
        raise UserError(f"{missing[0]} is missing; install it with pip install 'gequi_jax[onnx]'")
    return parsed


if __name__ == "__main__":
    restart_with_huge_pages()
    main()

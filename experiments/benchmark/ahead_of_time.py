"""Compiles training steps for a TPU on a machine without one: `python -m experiments.benchmark.ahead_of_time [--only NAME ...]`.

What is recorded is the plan of the compiler, not a measurement: the temporary memory, the memory traffic and the
arithmetic that it expects of one training step, and the CPU time that compilation took. It needs `pip install libtpu`. A run
resumes: programs that an earlier run has compiled into the same file are kept, unless `--only` names them.
"""

import argparse
import dataclasses
import functools
import importlib.metadata
import json
import os
import pathlib
import time
from collections.abc import Sequence
from typing import Any

import jax
import rich
from flax import nnx
from jax.experimental import topologies
from jax.sharding import SingleDeviceSharding

from experiments import data
from experiments.benchmark.page import PAGE, replace_between
from experiments.config.loading import load_config
from experiments.errors import Parser, UserError, did_you_mean, exit_on_user_error
from experiments.results.environment import environment
from experiments.training import step
from experiments.training.recipe import create_recipe
from experiments.training.state import initial_state
from gequi_jax import models

TOPOLOGY = "v5e:2x2"
BEGIN, END = "<!-- ahead of time: begin -->", "<!-- ahead of time: end -->"
COLUMNS = ("network", "attention", "type", "batch", "temporary GB", "traffic GB", "TFLOP", "compile CPU s")

# Every rotMNIST network at the batch size of its recipe or of the table, and one network of each other family.
SELF_ATTENTION = {f"rotmnist_{group}_sa": 64 for group in ("z2", "r4", "r8", "r8m", "r12", "r16")}
OTHERS = {"digits_r4_sa": 64, "cifar10_z2_sa": 24, "pcam_r4_sa": 16}
WITHOUT_WINDOWED_ATTENTION = {
    "cifar10_alpha_f_p4_all_cnn": 128,
    "cifar10_p4m_resnet44": 128,
    "pcam_alpha_f_p4_densenet": 64,
    "digits_alpha_f_p4_cnn": 128,
    "rotmnist_vit_p4": 128,
}
# Vision transformers of 224x224 positions, which are trained in mixed precision.
IN_BFLOAT16 = {"vit_small_z2": 64, "vit_small_p4m": 64}


@dataclasses.dataclass(frozen=True)
class Plan:
    """What the compiler plans for one training step.

    Attributes:
      network, batch: what is trained.
      attention: the implementation of self-attention; "" for a network without it.
      temporary_bytes: memory besides arguments and results.
      traffic_bytes: bytes that all operations read and write.
      operations: floating-point operations outside of kernels.
      compile_seconds: CPU time of the compiler alone, of all its threads, which other work on the machine hardly changes.
      dtype: the type of the computation; parameters are float32.
    """

    network: str
    attention: str
    batch: int
    temporary_bytes: float
    traffic_bytes: float
    operations: float
    compile_seconds: float
    dtype: str = "float32"


def programs() -> dict[str, int]:
    """The networks to compile, with their batch sizes."""
    rotmnist = {name: 128 for name in models.list_models() if name.startswith("rotmnist_") and name.endswith("_cnn")}
    return SELF_ATTENTION | OTHERS | rotmnist | WITHOUT_WINDOWED_ATTENTION | IN_BFLOAT16


def compile_step(network: str, batch: int, attention: str, sharding: SingleDeviceSharding | None) -> Plan:
    """Compiles the training step of a network.

    Args:
      network: its name.
      batch: the number of images.
      attention: the implementation of self-attention, or "" for a network without it.
      sharding: a device of the target; None for the default device.
    """
    dtype = "bfloat16" if network in IN_BFLOAT16 else "float32"
    overrides: dict[str, Any] = {"implementation": attention} if attention else {}
    function, arguments = training_step(network, batch, overrides | ({"dtype": dtype} if dtype != "float32" else {}))
    shapes = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding), arguments)
    lowered = jax.jit(function, donate_argnums=0).lower(*shapes)
    start = time.process_time()
    compiled = lowered.compile()
    seconds = time.process_time() - start
    memory: Any = compiled.memory_analysis()
    cost: Any = compiled.cost_analysis()
    return Plan(
        network,
        attention,
        batch,
        memory.temp_size_in_bytes,
        cost["bytes accessed"],
        cost["flops"],
        round(seconds, 1),
        dtype,
    )


def target(topology: str) -> SingleDeviceSharding:
    """One device of a TPU topology.

    Raises:
      UserError: without libtpu, or for an unknown topology.
    """
    # Otherwise libtpu asks for the metadata of a machine in a cloud.
    os.environ.setdefault("TPU_SKIP_MDS_QUERY", "1")
    os.environ.setdefault("TPU_ACCELERATOR_TYPE", "v5litepod-4")
    os.environ.setdefault("TPU_WORKER_HOSTNAMES", "localhost")
    # No device is used, so that other processes may compile at the same time.
    os.environ.setdefault("ALLOW_MULTIPLE_LIBTPU_LOAD", "1")
    try:
        devices = topologies.get_topology_desc(platform="tpu", topology_name=topology).devices
    except Exception as error:  # jax raises several types, none of them documented
        message = str(error).splitlines()[0]
        raise UserError(f"--topology {topology}: cannot be compiled for ({message}); try pip install libtpu") from error
    return SingleDeviceSharding(devices[0])


def write_page(plans: Sequence[Plan], topology: str, compiler: str, path: pathlib.Path) -> None:
    """Replaces the text between the markers of a page by the table.

    Raises:
      UserError: a page without the markers.
    """
    versions = environment()
    lines = [
        f"Read by `memory_analysis()` and `cost_analysis()` from programs compiled for one device of a TPU {topology} with "
        f"jax {versions['jax']} and {compiler}; nothing was run.",
        "",
        *("| " + " | ".join(row) + " |" for row in (COLUMNS, ["---"] * len(COLUMNS), *map(cells, plans))),
    ]
    replace_between(path, BEGIN, END, lines)


def cells(plan: Plan) -> tuple[str, ...]:
    """The cells of a row of the table."""
    numbers = (plan.temporary_bytes / 1e9, plan.traffic_bytes / 1e9, plan.operations / 1e12)
    texts = (f"{number:.3g}" for number in numbers)
    return (
        f"`{plan.network}`",
        plan.attention or "-",
        plan.dtype,
        str(plan.batch),
        *texts,
        f"{plan.compile_seconds:.0f}",
    )


@exit_on_user_error()
def main(arguments: list[str] | None = None) -> None:
    """Compiles what is missing, and writes the record after each program."""
    run(_parse(arguments))


def run(chosen: argparse.Namespace) -> None:
    """Compiles the chosen programs."""
    jax.config.update("jax_platforms", "cpu")  # the weights are made here; only the compiler is that of a TPU
    plans = {} if not chosen.output.exists() else _load(chosen.output)
    sharding = target(chosen.topology)
    for network, batch in programs().items():
        attention = chosen.attention if network.endswith("_sa") else ""
        key = f"{network} {attention}".strip()
        if network not in chosen.only if chosen.only else key in plans:
            continue
        plans[key] = compile_step(network, chosen.batch or batch, attention, sharding)
        rich.print("  ".join(cells(plans[key])))
        chosen.output.parent.mkdir(parents=True, exist_ok=True)
        chosen.output.write_text(json.dumps([dataclasses.asdict(plan) for plan in plans.values()], indent=2) + "\n")
    if chosen.write_docs:
        compiler = f"libtpu {importlib.metadata.version('libtpu')}"
        write_page(list(plans.values()), chosen.topology, compiler, PAGE)


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = Parser(
        prog="python -m experiments.benchmark.ahead_of_time", description="Training steps, compiled for a TPU."
    )
    parser.add_argument("--only", action="append", default=[], metavar="NAME", help="a network; repeatable")
    parser.add_argument(
        "--attention", default="pallas", choices=("pallas", "blocked"), help="the form of self-attention"
    )
    parser.add_argument("--batch", type=int, help="images in a batch, in place of that of the table")
    parser.add_argument("--topology", default=TOPOLOGY, help=f"of the TPU ({TOPOLOGY})")
    parser.add_argument("--output", type=pathlib.Path, default="runs/ahead_of_time.json", help="the file of the plans")
    parser.add_argument("--write-docs", action="store_true", help="write the table into docs/performance.md")
    parsed = parser.parse_args(arguments)
    for name in parsed.only:
        if name not in programs():
            raise UserError(f"--only: expected a network; got {name!r}{did_you_mean(name, programs())}")
    if parsed.batch is not None and parsed.batch < 1:
        raise UserError(f"--batch: expected a positive number; got {parsed.batch}")
    return parsed


def _load(path: pathlib.Path) -> dict[str, Plan]:
    try:
        plans = [Plan(**fields) for fields in json.loads(path.read_text())]
    except (OSError, ValueError, TypeError) as error:
        raise UserError(f"--output {path}: is not a record of this command; name another file") from error
    return {f"{plan.network} {plan.attention}".strip(): plan for plan in plans}


def training_step(network: str, batch: int, overrides: dict[str, Any]) -> tuple[Any, tuple[Any, Any]]:
    """The training step of a network as a function, and its state and batch."""
    try:
        config = load_config(network)
    except UserError:
        config = load_config("default")  # small models and other groups have no file of their own
    config.model, config.batch_size, config.num_seeds = network, batch, 1
    recipe = create_recipe(config, steps_per_epoch=100, normalize=data.NORMALIZATIONS["unit_range"])
    info = models.model_info(network)
    model = models.create_model(network, rngs=nnx.Rngs(0), **{**config.model_overrides, **overrides})
    graphs, state = initial_state(model, 0, recipe)
    images = jax.ShapeDtypeStruct((batch, *info.input_shape), "uint8")
    labels = jax.ShapeDtypeStruct((batch,), "int32")
    return functools.partial(step.train_step, recipe, graphs), (state, {"image": images, "label": labels})


if __name__ == "__main__":
    main()

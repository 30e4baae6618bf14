"""The tasks of `experiments.benchmark.accelerator`, each for a process of its own; the last line is the result as JSON."""

import json
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from experiments.benchmark.ahead_of_time import training_step
from experiments.benchmark.programs import layer_program, with_backward
from gequi_jax import groups, nn

REPEATS = 7
# "default" is TensorFloat-32 on an NVIDIA GPU.
PRECISIONS = ("float32", "default", "bfloat16")
HEADS, FEATURES = 9, 20
POSITIONS = 8 * 28**2  # of all images of a batch together


def device(side: int) -> dict[str, Any]:
    """The rates that the device reaches: of a copy of a large array, and of a float32 matrix product."""
    matrix = jnp.ones((side, side))
    copy = timed(jax.jit(lambda x: x + 1), (matrix,))
    product = timed(jax.jit(lambda x: jnp.dot(x, x, precision="highest")), (matrix,))
    return {
        "kind": jax.devices()[0].device_kind,
        "bytes_per_second": 2 * matrix.nbytes / copy["median"],
        "operations_per_second": 2 * side**3 / product["median"],
    }


def step(network: str, batch: int, precision: str) -> dict[str, Any]:
    """A training step on random images."""
    jax.config.update("jax_default_matmul_precision", "default" if precision == "default" else "highest")
    overrides = {"dtype": jnp.bfloat16} if precision == "bfloat16" else {}
    function, (state, shapes) = training_step(network, batch, overrides)
    images = jax.random.randint(jax.random.key(0), shapes["image"].shape, 0, 256).astype(jnp.uint8)
    labels = jnp.arange(batch, dtype=jnp.int32) % 2
    return timed(jax.jit(function, donate_argnums=0), (state, {"image": images, "label": labels}), feeds_back=True)


def layer(order: int, window_size: int, side: int, form: str) -> dict[str, Any]:
    """A layer of group self-attention, forward and backward."""
    attention = nn.GroupSelfAttention(
        FEATURES,
        FEATURES,
        group=groups.cyclic_group(order),
        num_heads=HEADS,
        qkv_features=HEADS * FEATURES // 2,
        window_size=window_size,
        implementation=form,  # pyright: ignore[reportArgumentType]
        rngs=nnx.Rngs(0),
    )
    shape = (max(1, POSITIONS // side**2) if side >= 14 else 1, side, side, order, FEATURES)
    program = layer_program(attention, jax.random.normal(jax.random.key(1), shape))
    return timed(jax.jit(with_backward(program.function)), program.arguments)


def timed(function: Any, arguments: tuple[Any, ...], *, feeds_back: bool = False) -> dict[str, Any]:
    """Compiles a function and times it: median, minimum and maximum in seconds, without the first run.

    Args:
      function: a jitted function.
      arguments: its arguments.
      feeds_back: whether its first result is its first argument in the next run.
    """
    start = time.perf_counter()
    compiled = function.lower(*arguments).compile()
    compile_seconds = time.perf_counter() - start
    seconds = []
    for _ in range(REPEATS + 1):
        start = time.perf_counter()
        result = jax.block_until_ready(compiled(*arguments))
        seconds.append(time.perf_counter() - start)
        if feeds_back:
            arguments = (result[0], *arguments[1:])
    cost = compiled.cost_analysis() or {}
    return {
        "median": statistics.median(seconds[1:]),
        "minimum": min(seconds[1:]),
        "maximum": max(seconds[1:]),
        "compile_seconds": compile_seconds,
        "temporary_bytes": compiled.memory_analysis().temp_size_in_bytes,
        # As the compiler counts them: the body of a loop once.
        "bytes": cost.get("bytes accessed", 0.0),
        "operations": cost.get("flops", 0.0),
    }


def main(arguments: list[str]) -> None:
    """Runs one task: `device SIDE`, `step NETWORK:BATCH PRECISION` or `layer ORDER WINDOW SIDE FORM`."""
    kind, *rest = arguments
    run: dict[str, Callable[[], dict[str, Any]]] = {
        "device": lambda: device(int(rest[0])),
        "step": lambda: step(rest[0].split(":")[0], int(rest[0].split(":")[1]), rest[1]),
        "layer": lambda: layer(int(rest[0]), int(rest[1]), int(rest[2]), rest[3]),
    }
    print(json.dumps(run[kind]()))


if __name__ == "__main__":
    main(sys.argv[1:])

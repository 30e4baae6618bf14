"""Programs to time: a JAX function with its arguments, compiled ahead of time."""

import dataclasses
import time
from collections.abc import Callable
from typing import Any, Protocol

import jax
import jax.numpy as jnp
from flax import nnx

FORWARD = "forward"
BACKWARD = "forward and backward"
STEP = "step"


class Runnable(Protocol):
    """A program that is ready to run.

    Attributes:
      temporary_bytes: the memory that it needs besides arguments and results, where that is known.
      compile_seconds: tracing and compilation, where there was any.
    """

    temporary_bytes: int | None
    compile_seconds: float | None

    def run(self) -> float:
        """Runs it once and returns the seconds that it took."""
        ...

    def close(self) -> None:
        """Frees what it holds."""
        ...


class Contender(Protocol):
    """One of several implementations of the same work."""

    def prepare(self, passes: str) -> Runnable:
        """Makes it ready to run forward, forward and backward, or as a training step."""
        ...


@dataclasses.dataclass(frozen=True)
class Program:
    """A function and its arguments; the first result of a training step is the first argument of the next one."""

    function: Callable[..., Any]
    arguments: tuple[Any, ...]


@dataclasses.dataclass(frozen=True)
class JaxContender:
    """A contender in JAX.

    Attributes:
      make: builds the layer or the training step and its input.
    """

    make: Callable[[], Program]

    def prepare(self, passes: str) -> "CompiledProgram":
        """Compiles the program."""
        program = self.make()
        function = with_backward(program.function) if passes == BACKWARD else program.function
        return CompiledProgram(function, program.arguments, feeds_back=passes == STEP)


class CompiledProgram:
    """A JAX function, compiled for its arguments."""

    def __init__(self, function: Callable[..., Any], arguments: tuple[Any, ...], *, feeds_back: bool):
        start = time.perf_counter()
        jitted: Any = function if hasattr(function, "lower") else jax.jit(function)
        self._compiled = jitted.lower(*arguments).compile()
        self.compile_seconds: float | None = time.perf_counter() - start
        self.temporary_bytes: int | None = self._compiled.memory_analysis().temp_size_in_bytes
        self._arguments, self._feeds_back = arguments, feeds_back

    def run(self) -> float:
        """Runs it once and returns the seconds that it took."""
        start = time.perf_counter()
        result = jax.block_until_ready(self._compiled(*self._arguments))
        seconds = time.perf_counter() - start
        if self._feeds_back:
            self._arguments = (result[0], *self._arguments[1:])
        return seconds

    def close(self) -> None:
        """Frees the arguments and the compiled code."""
        del self._compiled, self._arguments


def layer_program(layer: nnx.Module, x: jax.Array) -> Program:
    """A layer in evaluation mode as a function of its parameters and its input."""
    layer.eval()
    graph, params, rest = nnx.split(layer, nnx.Param, ...)

    def apply(params: nnx.State, x: jax.Array) -> jax.Array:
        module: Any = nnx.merge(graph, params, rest)
        return module(x)

    return Program(apply, (params, x))


def with_backward(function: Callable[..., jax.Array]) -> Callable[..., Any]:
    """The gradient of the sum of squares of a function with respect to its parameters and its input."""
    return jax.grad(lambda params, x: jnp.square(function(params, x)).sum(), argnums=(0, 1))

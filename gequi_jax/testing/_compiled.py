"""Modules under test as compiled programs: operation by operation, compilation would take most of the time."""

import functools
from collections.abc import Callable
from typing import Any

import jax
from flax import errors, nnx

from gequi_jax._typing import Array

# What JAX and Flax raise if they cannot trace a module: it asks for the value of an array, or updates a variable of
# another trace.
UNTRACEABLE = (jax.errors.JAXTypeError, errors.TraceContextError)


def compiled(fn: Callable[[Array], Any]) -> Callable[[Array], Any]:
    """An NNX module as one program for each shape of its input; other functions as they are.

    A function may call `nnx.jit` on a module that it encloses, which fails inside another trace and damages the module.

    Args:
      fn: a function of one array, or an NNX module, whose variables become arguments of the program. The program does not
        update them. A module that cannot be traced runs operation by operation.
    """
    if not isinstance(fn, nnx.Module):
        return fn
    graph, state = nnx.split(fn)
    program = functools.partial(jax.jit(lambda state, x: nnx.merge(graph, state)(x)), state)

    def run(x: Array) -> Any:
        try:
            return program(x)
        except UNTRACEABLE:
            return fn(x)

    return run

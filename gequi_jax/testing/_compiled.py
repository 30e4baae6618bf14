"""Functions under test as compiled programs: operation by operation, compilation would take most of the time."""

import functools
from collections.abc import Callable
from typing import Any

import jax
from flax import errors, nnx

from gequi_jax._typing import Array


def compiled(fn: Callable[[Array], Any]) -> Callable[[Array], Any]:
    """The function as one program for each shape of its input, or as it is if JAX cannot trace it.

    Args:
      fn: a function of one array, or an NNX module, whose variables become arguments of the program. The program does not
        update them.
    """
    if isinstance(fn, nnx.Module):
        graph, state = nnx.split(fn)
        program = functools.partial(jax.jit(lambda state, x: nnx.merge(graph, state)(x)), state)
    else:
        program = jax.jit(lambda x: fn(x))
    can_be_traced = True

    def run(x: Array) -> Any:
        nonlocal can_be_traced
        if can_be_traced:
            try:
                return program(x)
            # Values inside a function of NumPy, or a variable of another trace that it updates.
            except (jax.errors.JAXTypeError, errors.TraceContextError):
                can_be_traced = False
        return fn(x)

    return run

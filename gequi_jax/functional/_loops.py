"""Loops of large arrays that run on all cores of a CPU."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp


def map_on_all_cores(function: Callable[[Any], Any], xs: Any) -> Any:
    """`jax.lax.map` whose stages XLA divides among the cores of a CPU.

    XLA estimates the size of a loop without its body, and compiles a loop that it takes for small into one kernel, which
    runs on one core (JAX 0.12). It does so unless the loop contains an operation that such a kernel cannot contain, like the
    sort of two equal numbers here. Many stages of few numbers run faster in one kernel.

    Args:
      function: from a tree of arrays without their first axis to a tree of arrays.
      xs: a tree of arrays that share their first axis.

    Returns:
      The results, stacked along a new first axis.
    """

    def apply(index: jax.Array) -> Any:
        index = jax.lax.sort(jnp.stack([index, index]))[0]
        return function(jax.tree.map(lambda x: jax.lax.dynamic_index_in_dim(x, index, keepdims=False), xs))

    return jax.lax.map(apply, jnp.arange(jax.tree.leaves(xs)[0].shape[0]))

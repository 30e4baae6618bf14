"""Loops over blocks of a batch, one block after the other, that keep a batch shared by several devices where it is.

Every CPU device has blocks of its own: a loop over a batch axis that devices share would gather it.
"""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from gequi_jax._typing import Array


def sum_over_blocks(function: Callable[..., Any], *batches: Array, size: int) -> Any:
    """The sum of `function(*blocks)` over consecutive blocks of a batch.

    The sums of the devices are added up once, after the loop.

    Args:
      function: from blocks `[size, ...]` to an array, or a tree of arrays.
      *batches: arrays `[batch, ...]`, not empty.
      size: the largest number of entries of a block.
    """
    if len(batches[0]) <= size:
        return function(*batches)
    blocks, steps = _split(batches, size)

    def one_step(index):
        return jax.vmap(function)(*(jax.lax.dynamic_index_in_dim(block, index, 1, keepdims=False) for block in blocks))

    def add(total, index):
        return jax.tree.map(jnp.add, total, one_step(index)), None

    shapes = jax.eval_shape(one_step, 0)
    zeros = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes)
    total, _ = jax.lax.scan(add, zeros, jnp.arange(steps))
    return jax.tree.map(lambda leaf: leaf.sum(axis=0), total)


def map_over_blocks(function: Callable[[Array], Array], batch: Array, *, size: int) -> Array:
    """`function` of consecutive blocks of a batch, joined to a batch.

    Args:
      function: from a block `[size, ...]` to an array `[size, ...]`.
      batch: an array `[batch, ...]`, not empty.
      size: the largest number of entries of a block.
    """
    if len(batch) <= size:
        return function(batch)
    (blocks,), _ = _split((batch,), size)
    # [steps, devices, size, ...]
    mapped = jax.lax.map(jax.vmap(function), jnp.moveaxis(blocks, 1, 0))
    return jnp.moveaxis(mapped, 0, 1).reshape(len(batch), *mapped.shape[3:])


def _split(batches: tuple[Array, ...], size: int) -> tuple[list[Array], int]:
    """The batches as `[devices, steps, size, ...]`, and the number of steps."""
    num_entries = len(batches[0])
    devices = math.gcd(num_entries, _num_cpu_devices())
    per_device = num_entries // devices
    size = next(divisor for divisor in range(min(size, per_device), 0, -1) if per_device % divisor == 0)
    steps = per_device // size
    return [batch.reshape(devices, steps, size, *batch.shape[1:]) for batch in batches], steps


def _num_cpu_devices() -> int:
    try:
        return jax.device_count("cpu")
    except RuntimeError:  # The process has no CPU backend; the plan is only traced.
        return 1

"""Sums over blocks of a batch, one block after the other, that keep a batch shared by several devices where it is."""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from gequi_jax._typing import Array


def sum_over_blocks(function: Callable[..., Any], *batches: Array, size: int) -> Any:
    """The sum of `function(*blocks)` over consecutive blocks of a batch.

    Each CPU device adds up blocks of its own, and the sums of the devices are added up after the loop. A loop over a batch
    axis that devices share would gather it, and a single sum would be exchanged in every iteration.

    Args:
      function: from blocks `[size, ...]` to an array, or a tree of arrays.
      *batches: arrays `[batch, ...]`, not empty.
      size: the largest number of entries of a block; every block has as many entries as possible.
    """
    batch = len(batches[0])
    devices = math.gcd(batch, _num_cpu_devices())
    per_device = batch // devices
    size = next(size for size in range(min(size, per_device), 0, -1) if per_device % size == 0)
    steps = per_device // size
    if devices == steps == 1:
        return function(*batches)
    blocks = [batch.reshape(devices, steps, size, *batch.shape[1:]) for batch in batches]

    def one_step(index):
        return jax.vmap(function)(*(jax.lax.dynamic_index_in_dim(block, index, 1, keepdims=False) for block in blocks))

    def add(total, index):
        return jax.tree.map(jnp.add, total, one_step(index)), None

    shapes = jax.eval_shape(one_step, 0)
    zeros = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes)
    total, _ = jax.lax.scan(add, zeros, jnp.arange(steps))
    return jax.tree.map(lambda leaf: leaf.sum(axis=0), total)


def _num_cpu_devices() -> int:
    try:
        return jax.device_count("cpu")
    except RuntimeError:  # The process has no CPU backend; the plan is only traced.
        return 1

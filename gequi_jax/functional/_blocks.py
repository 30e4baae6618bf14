"""A loop over blocks of a batch that keeps a batch shared by several devices where it is."""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from gequi_jax._typing import Array


def over_blocks(function: Callable[..., tuple[Any, Any]], *batches: Array, size: int) -> tuple[Any, Any]:
    """Calls `function(*blocks)` on consecutive blocks of a batch, one after the other.

    Each CPU device loops over blocks of its own and adds up its own sum; the sums of the devices are added up after the
    loop. A loop over a batch axis that devices share would gather it, and they would exchange a common sum in every step.

    Args:
      function: from blocks `[block, ...]` to two trees of arrays: terms of a sum, and entries `[block, ...]` of a batch.
      *batches: arrays `[batch, ...]`.
      size: the largest number of entries of a block; an empty batch, or one of symbolic size, has blocks of one.

    Returns:
      The sum of the terms over all blocks, and the entries of all blocks, `[batch, ...]`.
    """
    num_entries = batches[0].shape[0]
    fixed = isinstance(num_entries, int) and num_entries > 0
    if fixed and num_entries <= size:
        return function(*batches)
    devices = math.gcd(num_entries, _num_cpu_devices()) if fixed else 1
    per_device = num_entries // devices
    if fixed:
        size = next(divisor for divisor in range(min(size, per_device), 0, -1) if per_device % divisor == 0)
    else:
        size = 1
    blocks = [batch.reshape(devices, per_device // size, size, *batch.shape[1:]) for batch in batches]
    # A single device has no axis of devices: everything in the loop is one axis smaller.
    if devices == 1:
        each, blocks = function, [block[0] for block in blocks]
    else:
        each, blocks = jax.vmap(function), [jnp.moveaxis(block, 1, 0) for block in blocks]

    def step(total, block):
        terms, entries = each(*block)
        return jax.tree.map(jnp.add, total, terms), entries

    shapes, _ = jax.eval_shape(each, *(jax.ShapeDtypeStruct(block.shape[1:], block.dtype) for block in blocks))
    zeros = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes)
    total, entries = jax.lax.scan(step, zeros, blocks)
    if devices > 1:
        total = jax.tree.map(lambda leaf: leaf.sum(axis=0), total)
        entries = jax.tree.map(lambda leaf: jnp.moveaxis(leaf, 0, 1).reshape(-1, size, *leaf.shape[3:]), entries)
    return total, jax.tree.map(lambda leaf: leaf.reshape(num_entries, *leaf.shape[2:]), entries)


def _num_cpu_devices() -> int:
    try:
        return jax.device_count("cpu")
    except RuntimeError:  # The process has no CPU backend; the plan for a CPU is only traced.
        return 1

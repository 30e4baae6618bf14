"""Trained arrays into a network."""

from typing import Any

import jax
from flax import nnx


def put_weights(model: nnx.Module, params: Any, other: Any, *, seeded: bool, seed_index: int = 0) -> nnx.Module:
    """Puts trained arrays into a network and sets it to evaluation mode.

    Args:
      model: the network, which is changed.
      params: trained arrays.
      other: all other arrays: batch statistics, streams of random numbers.
      seeded: whether the arrays have a leading axis of seeds.
      seed_index: which of them is taken.
    """

    def of_seed(leaf: jax.Array) -> jax.Array:
        # The copy of this process: only one process uses the network.
        leaf = leaf.addressable_data(0)
        return leaf[seed_index] if seeded else leaf

    nnx.update(model, jax.tree.map(of_seed, params), jax.tree.map(of_seed, other))
    model.eval()
    return model

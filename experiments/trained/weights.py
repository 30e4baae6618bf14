"""Trained arrays into a network."""

from typing import Any

import jax
from flax import nnx


def put_weights(model: nnx.Module, params: Any, other: Any, *, seeded: bool) -> nnx.Module:
    """Puts trained arrays into a network and sets it to evaluation mode.

    Args:
      model: the network, which is changed.
      params: trained arrays.
      other: all other arrays: batch statistics, streams of random numbers.
      seeded: whether the arrays have a leading axis of seeds, of which the first is taken.
    """

    def first(leaf: jax.Array) -> jax.Array:
        # The copy of this process: only one process uses the network.
        leaf = leaf.addressable_data(0)
        return leaf[0] if seeded else leaf

    nnx.update(model, jax.tree.map(first, params), jax.tree.map(first, other))
    model.eval()
    return model

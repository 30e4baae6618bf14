"""What a network computes inside: feature maps on the group."""

import jax
import jax.numpy as jnp
from flax import nnx

from gequi_jax import nn


def lifted_maps(model: nnx.Module, images: jax.typing.ArrayLike) -> jax.Array | None:
    """The output of the lifting layer, `[n, rows, columns, group, channels]`, or None if the network has none."""
    kinds = tuple(getattr(nn, name) for name in dir(nn) if "Lifting" in name)
    lifting = next((module for _, module in nnx.iter_modules(model) if isinstance(module, kinds)), None)
    return None if lifting is None else lifting(jnp.asarray(images))

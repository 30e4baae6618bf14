"""What a network shows inside."""

import jax
import jax.numpy as jnp
from flax import nnx

from gequi_jax import nn


def lifted_maps(model: nnx.Module, images: jax.typing.ArrayLike) -> jax.Array | None:
    """Feature maps on the group behind the network's lifting layer, `[n, rows, columns, group, channels]`, if it has one."""
    kinds = tuple(getattr(nn, name) for name in dir(nn) if "Lifting" in name)
    lifting = next((module for _, module in nnx.iter_modules(model) if isinstance(module, kinds)), None)
    return None if lifting is None else lifting(jnp.asarray(images))

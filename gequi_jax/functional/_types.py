"""The type in which sums and softmaxes are computed."""

import jax.numpy as jnp

from gequi_jax._typing import Array


def wide_type(x: Array) -> jnp.dtype:
    """float32, or the type of the array where it is wider."""
    return x.dtype if jnp.finfo(x.dtype).bits >= 32 else jnp.dtype(jnp.float32)

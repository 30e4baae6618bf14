"""Random streams of untrained layers."""

import jax
from flax import nnx


def random_streams(seed: int) -> nnx.Rngs:
    """Streams that do not depend on the generator that JAX is set to use."""
    return nnx.Rngs(jax.random.key(seed, impl="threefry2x32"))

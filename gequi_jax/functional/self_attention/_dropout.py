"""Dropout of attention weights, with masks that do not depend on how the work is divided into blocks."""

import dataclasses

import jax
import jax.numpy as jnp

from gequi_jax._checks import check_rate
from gequi_jax._random_mask import mix, threshold
from gequi_jax._typing import Array


@dataclasses.dataclass(frozen=True, eq=False)
class Dropout:
    """Dropout of attention weights.

    Attributes:
      rate: the fraction of weights that is set to 0; the others grow to keep the expectation.
      key: a `jax.random` key, or None for no dropout.
    """

    rate: float
    key: Array | None

    def split(self, *shape: int) -> Array | None:
        """Seeds of the given shape, 32 random bits each, or None for no dropout."""
        return None if self.key is None else jax.random.bits(self.key, shape, jnp.uint32)

    def mask(self, seeds: Array, shape: tuple[int, ...]) -> Array:
        """False where a weight is dropped: a mask whose last axis consists of equal parts, one for each seed.

            bits(seed, i) = mix(seed xor mix(i)),  i the index of a weight within its part

        The backward pass and the kernels compute the mask of a block from seeds and indices alone, and an index does not
        depend on how the work is divided into blocks.
        """
        part = (*shape[:-1], seeds.shape[0], shape[-1] // seeds.shape[0])
        index = jnp.zeros((), jnp.uint32)
        for axis in (*range(len(shape) - 1), len(shape)):
            index = index * jnp.uint32(part[axis]) + jax.lax.broadcasted_iota(jnp.uint32, part, axis)
        return self.keeps(jax.lax.broadcast_in_dim(seeds, part, (len(shape) - 1,)), index).reshape(shape)

    def keeps(self, seeds: Array, index: Array) -> Array:
        """False where the weight of an index is dropped, for seeds and indices of matching shapes."""
        return mix(seeds ^ mix(index)) >= jnp.uint32(threshold(self.rate))

    def scaled(self, attention: Array, mask: Array) -> Array:
        """Attention with the dropped weights 0 and the others scaled to keep the expectation."""
        return jnp.where(mask, attention * (2**32 / (2**32 - threshold(self.rate))), 0.0)


def resolve_dropout(dropout_rate: float, dropout_key: Array | None) -> Dropout:
    """The dropout of the arguments of a layer.

    Raises:
      ValueError: if the rate is not in [0, 1), or the key is missing where the rate is above 0.
    """
    check_rate("dropout_rate", dropout_rate)
    if dropout_rate > 0.0 and dropout_key is None:
        raise ValueError(
            f"dropout_key: expected a jax.random key for dropout_rate={dropout_rate}; got None; pass a key, or a rate of 0."
        )
    return Dropout(dropout_rate, dropout_key if dropout_rate > 0.0 else None)

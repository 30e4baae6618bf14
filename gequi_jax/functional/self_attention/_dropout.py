"""Dropout of attention weights, with masks that do not depend on how the work is cut into blocks."""

import dataclasses

import jax
import jax.numpy as jnp

from gequi_jax._checks import check_rate
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
        """Keys of the given shape, or None for no dropout."""
        return None if self.key is None else jax.random.split(self.key, shape)

    def mask(self, keys: Array, shape: tuple[int, ...]) -> Array:
        """False where a weight is dropped: a mask whose last axis consists of equal parts, one for each key."""
        part = (*shape[:-1], shape[-1] // keys.shape[0])
        # 16 random bits decide, at half the cost of 32.
        bits = jax.vmap(lambda key: jax.random.bits(key, part, jnp.uint16), out_axes=-2)(keys)
        return (bits >= self._threshold).reshape(shape)

    def scaled(self, attention: Array, mask: Array) -> Array:
        """Attention with the dropped weights 0 and the others scaled to keep the expectation."""
        return jnp.where(mask, attention * (2**16 / (2**16 - self._threshold)), 0.0)

    def __call__(self, attention: Array, keys: Array | None) -> Array:
        """Dropout of attention `[..., p]`, with a key for each of the equal parts of p, or None for no dropout."""
        return attention if keys is None else self.scaled(attention, self.mask(keys, attention.shape))

    @property
    def _threshold(self) -> int:
        return min(round(self.rate * 2**16), 2**16 - 1)


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

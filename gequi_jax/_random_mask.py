"""Random masks by a hash of seeds and indices: an elementwise expression, which XLA fuses with what reads the mask.

The generator of `jax.random` has 20 rounds for an entry, and on a CPU runs them one after the other over whole arrays. A hash of
two or three rounds is cheap enough for the backward pass to repeat. Every entry is a function of its own index, so masks do
not depend on how a computation is divided into blocks or shared by devices.
"""

import math

import jax
import jax.numpy as jnp

from gequi_jax._typing import Array, Bool


def mix(bits: Array) -> Array:
    """A bijection of 32-bit integers in which every input bit changes about half of the output bits.

    Reference: the finaliser of MurmurHash3.
    """
    bits = (bits ^ (bits >> 16)) * jnp.uint32(0x85EBCA6B)
    bits = (bits ^ (bits >> 13)) * jnp.uint32(0xC2B2AE35)
    return bits ^ (bits >> 16)


def threshold(rate: float) -> int:
    """The number of 32-bit integers that count as dropped, for a rate in [0, 1)."""
    return min(round(rate * 2**32), 2**32 - 1)


def keep_mask(key: Array, rate: float, shape: tuple[int, ...]) -> Bool[Array, "..."]:
    """False with probability `rate`, independently for each entry.

        bits(i) = mix(s_1 xor mix(s_0 xor mix(i))),  i the index of an entry in array order

    Args:
      key: a `jax.random` key, which gives the 64 bits of the seeds s_0 and s_1.
      rate: the probability of false, in [0, 1).
      shape: the shape of the mask, of less than 2^32 entries: for more, the mask repeats.
    """
    bits = jnp.zeros(shape, jnp.uint32)
    for axis in range(len(shape)):
        stride = math.prod(shape[axis + 1 :]) % 2**32
        bits = bits + jax.lax.broadcasted_iota(jnp.uint32, shape, axis) * jnp.uint32(stride)
    for seed in (jnp.uint32(0), *jax.random.bits(key, (2,), jnp.uint32)):
        bits = mix(bits ^ seed)
    return bits >= jnp.uint32(threshold(rate))

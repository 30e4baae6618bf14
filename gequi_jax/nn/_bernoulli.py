"""Random masks as one elementwise expression, which XLA compiles to one parallel loop.

The dropout of attention weights has a generator of its own in `functional`. Here the values must be those of `nnx.Dropout`,
bit for bit, so this is the same cipher: 20 rounds for an entry. There are far more attention weights, and the backward pass
draws them again, so that generator is a hash of two multiplications, which need not agree with anything.
"""

import math

import jax
import jax.numpy as jnp

from gequi_jax._typing import Array, Bool

# Threefry-2x32 with 20 rounds (Salmon et al., 2011): rotations of four rounds, by turns, and the parity of the key.
_ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))
_NUM_BLOCKS = 5
_PARITY = 0x1BD11BDA


def bernoulli(key: jax.Array, probability: float, shape: tuple[int, ...]) -> Bool[Array, "..."]:
    """Draws true with a probability: the values of `jax.random.bernoulli` in float32.

    On a CPU, `jax.random` runs the rounds of the generator as a loop over arrays of the size of the mask, on one thread.
    Here every entry is an expression of its index, which XLA fuses with what reads the mask. Every device computes the
    entries of its own part of the batch. Other generators than JAX's default take `jax.random.bernoulli`.

    Args:
      key: a typed random key.
      probability: of true, in [0, 1].
      shape: the shape of the mask.
    """
    default = jax.config.jax_threefry_partitionable and jax.random.key_impl(key) == "threefry2x32"  # pyright: ignore
    if not default or math.prod(shape) >= 2**32:
        return jax.random.bernoulli(key, jnp.float32(probability), shape)
    # A uniform float32 is 23 random bits times 2^-23.
    threshold = jnp.ceil(jnp.float32(probability) * 2**23).astype(jnp.uint32)
    return (_random_bits(key, shape) >> 9) < threshold


def _random_bits(key: jax.Array, shape: tuple[int, ...]) -> Array:
    """32 bits for each entry: the cipher of its index in array order."""
    first, second = jax.random.key_data(key)
    keys = (first, second, first ^ second ^ jnp.uint32(_PARITY))
    x, y = jnp.broadcast_to(keys[0], shape), _indices(shape) + keys[1]
    for block in range(_NUM_BLOCKS):
        for rotation in _ROTATIONS[block % 2]:
            x = x + y
            y = ((y << rotation) | (y >> (32 - rotation))) ^ x
        x = x + keys[(block + 1) % 3]
        y = y + (keys[(block + 2) % 3] + jnp.uint32(block + 1))
    return x ^ y


def _indices(shape: tuple[int, ...]) -> Array:
    index = jnp.zeros(shape, jnp.uint32)
    for axis in range(len(shape)):
        stride = jnp.uint32(math.prod(shape[axis + 1 :]))
        index = index + jax.lax.broadcasted_iota(jnp.uint32, shape, axis) * stride
    return index

"""The maximum over axes, with a gradient that stays finite when a compiler recomputes its operand."""

import functools
import math

import jax
import jax.numpy as jnp

from gequi_jax._typing import Array, Float


def maximum(x: Float[Array, "..."], axis: int | tuple[int, ...], *, keepdims: bool = False) -> Array:
    """Largest entry over some axes; entries that are equally large share the gradient.

        y = max_i x_i,    dy/dx_i = [x_i >= y or i = argmax x] / (number of such i)

    In the backward pass `jnp.max` searches for the entries that equal y. If the compiler recomputes x for that search, with
    different round-off, no entry may equal y, and the gradient is 0 / 0. Here the index of the largest entry, an integer,
    always counts as one of them. Equally large entries share the gradient equally, as in `jnp.max`; otherwise the gradient
    of an equivariant function would not be equivariant.

    Args:
      x: real numbers.
      axis: an axis or several.
      keepdims: keep these axes, of size 1.
    """
    axes = (axis,) if isinstance(axis, int) else tuple(axis)
    y = _maximum(x, tuple(sorted(index % x.ndim for index in axes)))
    return y if keepdims else jnp.squeeze(y, axes)


@functools.partial(jax.custom_jvp, nondiff_argnums=(1,))
def _maximum(x: Array, axes: tuple[int, ...]) -> Array:
    return jnp.max(x, axis=axes, keepdims=True)


@_maximum.defjvp
def _maximum_jvp(axes: tuple[int, ...], primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    (x,), (tangent,) = primals, tangents
    y = _maximum(x, axes)
    # Kept for the backward pass as Booleans: a quarter of the memory of numbers.
    largest = (x >= y) | _is_first_largest(x, axes)
    count = largest.sum(axis=axes, keepdims=True, dtype=jnp.int32).astype(x.dtype)
    return y, jnp.where(largest, tangent, jnp.zeros_like(tangent)).sum(axis=axes, keepdims=True) / count


def _is_first_largest(x: Array, axes: tuple[int, ...]) -> Array:
    """True at the first of the largest entries: one entry for each index of the other axes."""
    last = tuple(range(-len(axes), 0))
    moved = jnp.moveaxis(x, axes, last)
    flat = moved.reshape(*moved.shape[: x.ndim - len(axes)], math.prod(x.shape[axis] for axis in axes))
    first = jnp.argmax(flat, axis=-1, keepdims=True)
    is_first = jax.lax.broadcasted_iota(first.dtype, flat.shape, flat.ndim - 1) == first
    return jnp.moveaxis(is_first.reshape(moved.shape), last, axes)

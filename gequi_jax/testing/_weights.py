"""The weights under which a network is audited: a copy, scaled, with equal parameters made to differ."""

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from gequi_jax._typing import Array


def prepared(
    model: nnx.Module, *, weight_scale: float, perturb: float, dtype: jax.typing.DTypeLike | None
) -> nnx.Module:
    """A copy of a model in `eval()` mode, whose parameters are varied as `audit` describes."""
    copy = nnx.clone(model)
    copy.eval()
    random = np.random.default_rng(0)

    def varied(leaf: Array) -> Array:
        return _perturbed(leaf, perturb, random) if perturb else leaf

    nnx.update(copy, jax.tree.map(varied, nnx.state(copy, nnx.BatchStat)))
    nnx.update(copy, jax.tree.map(lambda leaf: cast(varied(leaf) * weight_scale, dtype), nnx.state(copy, nnx.Param)))
    return copy


def cast(array: Array, dtype: jax.typing.DTypeLike | None) -> Array:
    """The array in another floating type, itself where there is none to change to."""
    return array if dtype is None or not jnp.issubdtype(array.dtype, jnp.floating) else array.astype(dtype)


def _perturbed(leaf: Array, size: float, random: np.random.Generator) -> Array:
    values = np.asarray(leaf)
    if values.size < 2 or not jnp.issubdtype(leaf.dtype, jnp.floating) or (values != values.flat[0]).any():
        return leaf
    noise = size * random.normal(size=values.shape)
    # A scale or a variance keeps its sign.
    return jnp.asarray(noise if not values.any() else values * np.exp(noise), leaf.dtype)

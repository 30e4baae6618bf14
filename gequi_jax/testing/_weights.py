"""The weights under which a network is audited: a scaled copy, with constant parameters perturbed."""

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from gequi_jax._typing import Array

# The variance of a channel, as a part of its squared mean, up to which it counts as constant.
CONSTANT = 1e-8


def prepared(
    model: nnx.Module, x: Array, *, weight_scale: float, perturb: float, dtype: jax.typing.DTypeLike | None
) -> nnx.Module:
    """A copy of a model in `eval()` mode, whose parameters and statistics are varied as `audit` describes.

    Args:
      model: the model; it is not changed.
      x: the input, of which batch norms take their statistics.
      weight_scale: a factor on all parameters.
      perturb: the size of the noise on parameters and statistics whose entries are all equal, relative to their size, or
        absolute where they are 0; 0 adds none.
      dtype: the floating type of parameters and input; None leaves them.
    """
    copy = nnx.clone(model)
    copy.eval()
    random = np.random.default_rng(0)

    def varied(leaf: Array) -> Array:
        return _perturbed(leaf, perturb, random) if perturb else leaf

    norms = [module for _, module in nnx.iter_modules(copy) if isinstance(module, nnx.BatchNorm)]
    stale = [norm for norm in norms if weight_scale != 1 or (perturb and _has_no_statistics(norm))]
    # Statistics are kept in float32 at least.
    wide = None if dtype is None or jnp.dtype(dtype).itemsize < 4 else dtype
    nnx.update(copy, jax.tree.map(lambda leaf: cast(varied(leaf), wide), nnx.state(copy, nnx.BatchStat)))
    nnx.update(copy, jax.tree.map(lambda leaf: cast(varied(leaf) * weight_scale, dtype), nnx.state(copy, nnx.Param)))
    if stale:
        _take_statistics(copy, stale, x)
    return copy


def _has_no_statistics(norm: nnx.BatchNorm) -> bool:
    """Whether a batch norm still has its initial statistics: means of 0 and variances of 1."""
    return not np.any(norm.mean[...]) and bool(np.all(np.asarray(norm.var[...]) == 1))


def _take_statistics(model: nnx.Module, norms: list[nnx.BatchNorm], x: Array):
    """Gives batch norms the statistics of one batch, so that their outputs have the size that they have after training."""
    before = [(norm.momentum, norm.mean[...], norm.var[...]) for norm in norms]
    for norm in norms:
        norm.use_running_average, norm.momentum = False, 0.0
    nnx.jit(lambda model, x: model(x))(model, x)
    for norm, (momentum, mean, var) in zip(norms, before, strict=True):
        norm.use_running_average, norm.momentum = True, momentum
        # A channel that does not vary would be divided by its round-off.
        varies = norm.var[...] > CONSTANT * jnp.square(norm.mean[...])
        norm.mean[...] = jnp.where(varies, norm.mean[...], mean)
        norm.var[...] = jnp.where(varies, norm.var[...], var)


def cast(array: Array, dtype: jax.typing.DTypeLike | None) -> Array:
    """The array in another floating type; unchanged if it is not floating or no type is given."""
    return array if dtype is None or not jnp.issubdtype(array.dtype, jnp.floating) else array.astype(dtype)


def _perturbed(leaf: Array, size: float, random: np.random.Generator) -> Array:
    values = np.asarray(leaf)
    if values.size < 2 or not jnp.issubdtype(leaf.dtype, jnp.floating) or (values != values.flat[0]).any():
        return leaf
    noise = size * random.normal(size=values.shape)
    # A scale or a variance keeps its sign.
    return jnp.asarray(noise if not values.any() else values * np.exp(noise), leaf.dtype)

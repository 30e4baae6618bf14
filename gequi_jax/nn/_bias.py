"""The bias of convolutions and linear maps: one number for each output channel, shared by all poses."""

import jax
from flax import nnx

from gequi_jax._typing import Array


def create_bias(
    use_bias: bool, bias_init: nnx.Initializer, features: int, *, param_dtype: jax.typing.DTypeLike, rngs: nnx.Rngs
) -> nnx.Param | None:
    """The parameter, or None without a bias."""
    return nnx.Param(bias_init(rngs.params(), (features,), param_dtype)) if use_bias else nnx.data(None)


def value_of(bias: nnx.Param | None) -> Array | None:
    """The array of the parameter, or None without a bias."""
    return None if bias is None else bias[...]


def with_bias(y: Array, bias: Array | None) -> Array:
    """Features plus the bias of each channel, if there is one."""
    return y if bias is None else y + bias.reshape((1,) * (y.ndim - 1) + (-1,))

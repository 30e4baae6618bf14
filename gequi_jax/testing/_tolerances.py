"""The relative equivariance error that round-off alone can cause, by dtype and platform."""

import math

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from gequi_jax._checks import check_choice

# Measured on networks of up to fifteen layers with weights scaled three times, the error is a few units in the last place
# times the square root of the number of terms; these bounds leave a factor of ten.
_WIDE = {"float64": 1e-12, "float32": 1e-5}
# Types of 16 bits have no such room, so their bound is derived. Sums, products of matrices, softmax and statistics accumulate
# in float32 and round once, to another value only where the float32 sums of the two sides of the equation straddle a
# rounding boundary. A layer rounds about nine times in a row (norm, activation, query, key, scores, weights, values,
# projection, sum with the shortcut), each time by a relative error of at most u, the unit round-off. Independent errors add
# as a random walk, so that n layers deviate by at most about u sqrt(9 n): in bfloat16 1.2e-2 for one layer and 4.5e-2 for
# fifteen. `tests/nn/test_equivariance.py` and `tests/models/test_audits.py` measure every layer and every network.
_UNIT_ROUND_OFF = {"bfloat16": 2.0**-8, "float16": 2.0**-11}
_ROUNDINGS = 9
# Accelerators multiply float32 matrices in fewer bits by default (jax_default_matmul_precision="highest").
_REDUCED_MATMUL = 2e-3


def tolerance(dtype: jax.typing.DTypeLike, *, num_layers: int = 15, platform: str = "cpu") -> float:
    """The relative error above which a function of this dtype is not equivariant.

    Args:
      dtype: the floating type of the computation.
      num_layers: the number of layers in a row; types of 16 bits allow an error that grows with its square root.
      platform: where the function runs, as in `jax.Device.platform`.

    Raises:
      ValueError: if the type is not a floating type of 16 bits or more.

    Example:
      >>> tolerance("float64")
      1e-12
    """
    name = jnp.dtype(dtype).name
    check_choice("dtype", name, (*_WIDE, *_UNIT_ROUND_OFF))
    if name in _UNIT_ROUND_OFF:
        return _UNIT_ROUND_OFF[name] * math.sqrt(_ROUNDINGS * num_layers)
    full_precision = jax.config.jax_default_matmul_precision in ("highest", "float32")
    if name == "float32" and platform != "cpu" and not full_precision:
        return _REDUCED_MATMUL
    return _WIDE[name]


def tolerance_of(x: ArrayLike) -> float:
    """The tolerance of a function of an array: that of its dtype, on the platform where it lies."""
    array = jnp.asarray(x)
    device = next(iter(array.devices()))
    return tolerance(array.dtype, platform=device.platform)

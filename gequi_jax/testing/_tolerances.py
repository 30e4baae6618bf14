"""The relative equivariance error that round-off alone can cause, by dtype and backend."""

import jax
import jax.numpy as jnp

from gequi_jax._checks import check_choice

# Measured on networks of up to fifteen layers with weights scaled three times the error is a few units in the last
# place times the square root of the terms summed; these bounds leave a factor of ten.
_BY_DTYPE = {"float64": 1e-12, "float32": 1e-5, "bfloat16": 5e-2, "float16": 5e-3}
# Accelerators multiply float32 matrices in fewer bits by default (jax_default_matmul_precision="highest").
_REDUCED_MATMUL = 2e-3


def tolerance(dtype: jax.typing.DTypeLike) -> float:
    """The relative error above which a function of this dtype is not equivariant.

    Args:
      dtype: the floating type of the computation.

    Raises:
      ValueError: if the type is not a floating type of 16 bits or more.

    Example:
      >>> tolerance("float64")
      1e-12
    """
    name = jnp.dtype(dtype).name
    check_choice("dtype", name, _BY_DTYPE)
    full_precision = jax.config.jax_default_matmul_precision in ("highest", "float32")
    if name == "float32" and jax.default_backend() != "cpu" and not full_precision:
        return _REDUCED_MATMUL
    return _BY_DTYPE[name]

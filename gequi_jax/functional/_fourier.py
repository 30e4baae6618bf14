"""The group Fourier transform of the regular representation, and its inverse."""

import jax
import jax.numpy as jnp

from gequi_jax._typing import Array, Float
from gequi_jax.groups import FiniteGroup, group_fourier_basis


def group_fourier_transform(
    x: Float[Array, "..."], *, group: FiniteGroup, axis: int = -2, precision: jax.lax.PrecisionLike = "highest"
) -> Float[Array, "..."]:
    """The coefficients of functions of the pose in the matrix coefficients of the irreducible representations.

        f^[rho, j, i] = sqrt(dim_rho / |H|) sum_h rho(h)_ij f(h)

    The change of basis is orthogonal: sum |f^|^2 = sum |f|^2 (Plancherel). L_g, which maps f(h) to f(g^-1 h), becomes
    block-diagonal: it multiplies every f^[rho, j, :] by rho(g). `gequi_jax.groups.group_fourier_basis` gives the order.

    Args:
      x: functions of the pose along one axis, such as feature maps `[batch, *spatial, group, channels]`.
      group: the group H.
      axis: the axis of the poses.
      precision: as in `jax.numpy.einsum`. The products are few, so full precision is the default.

    Returns:
      Coefficients, in place of the poses.

    Raises:
      ValueError: if the axis does not exist or is not of size |H|.

    Reference: Serre, *Linear Representations of Finite Groups* (1977), section 2.2.
    """
    return _multiply(x, group, axis, precision, inverse=False)


def inverse_group_fourier_transform(
    x: Float[Array, "..."], *, group: FiniteGroup, axis: int = -2, precision: jax.lax.PrecisionLike = "highest"
) -> Float[Array, "..."]:
    """Functions of the pose from their Fourier coefficients, the inverse of `group_fourier_transform`.

        f(h) = sum_rho sqrt(dim_rho / |H|) sum_ij rho(h)_ij f^[rho, j, i]

    Args:
      x: coefficients along one axis.
      group: the group H.
      axis: the axis of the coefficients.
      precision: as in `jax.numpy.einsum`.

    Returns:
      Functions of the pose, in place of the coefficients.

    Raises:
      ValueError: if the axis does not exist or is not of size |H|.

    Reference: Serre, *Linear Representations of Finite Groups* (1977), section 2.2.
    """
    return _multiply(x, group, axis, precision, inverse=True)


def _multiply(x: Array, group: FiniteGroup, axis: int, precision: jax.lax.PrecisionLike, *, inverse: bool) -> Array:
    if not -x.ndim <= axis < x.ndim or x.shape[axis] != group.order:
        raise ValueError(
            f"input: expected an axis of size {group.order}, one entry for each element of {group.name}, at position "
            f"{axis}; got shape {x.shape}."
        )
    basis = group_fourier_basis(group)
    matrix = jnp.asarray(basis.T if inverse else basis, x.dtype)
    product = jnp.tensordot(matrix, x, axes=((1,), (axis,)), precision=precision)
    return jnp.moveaxis(product, 0, axis)

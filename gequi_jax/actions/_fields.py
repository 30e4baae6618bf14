"""The action on fields whose values turn with the grid: vectors, tensors and pseudoscalars."""

import jax.numpy as jnp
import numpy as np

from gequi_jax._checks import check_components, check_element, check_spatial_axes
from gequi_jax._typing import AnyField, AnyGrid, AnyOutField, AnyOutGrid
from gequi_jax.actions._grids import act_on_grid
from gequi_jax.groups import FiniteGroup


def act_on_vector_field(element: int | np.integer, x: AnyField, *, group: FiniteGroup) -> AnyOutField:
    """Transforms vector fields by one group element: the positions move and the components turn.

        (L_g v)(x) = g v(g^-1 x)

    Components are in the order of the spatial axes, such as (row, column). Exact where the element maps the grid to itself.

    Args:
      element: the index of g in the group.
      x: vector fields `[batch, *spatial, ..., dim]`.
      group: the group that the index refers to.

    Raises:
      ValueError: if the element is not in the group, or the axes do not fit the dimension of the group.

    Example:
      >>> from gequi_jax.groups import cyclic_group
      >>> upwards = np.tile([-1.0, 0.0], (1, 3, 3, 1))
      >>> act_on_vector_field(1, upwards, group=cyclic_group(4))[0, 0, 0].tolist()
      [0.0, -1.0]
    """
    check_components(x, group, rank=1)
    return _turned(_moved(element, x, group), group.matrices[check_element(element, group)])


def act_on_tensor_field(element: int | np.integer, x: AnyField, *, group: FiniteGroup) -> AnyOutField:
    """Transforms fields of second-order tensors by one group element.

        (L_g T)(x) = g T(g^-1 x) g^T

    Args:
      element: the index of g in the group.
      x: tensor fields `[batch, *spatial, ..., dim, dim]`.
      group: the group that the index refers to.

    Raises:
      ValueError: if the element is not in the group, or the axes do not fit the dimension of the group.
    """
    check_components(x, group, rank=2)
    matrix = group.matrices[check_element(element, group)]
    once = _turned(_moved(element, x, group), matrix)
    return _turned(once.swapaxes(-1, -2), matrix).swapaxes(-1, -2)


def act_on_pseudoscalar_field(element: int | np.integer, x: AnyGrid, *, group: FiniteGroup) -> AnyOutGrid:
    """Transforms pseudoscalar fields, such as the vorticity of a planar flow: a mirroring changes their sign.

        (L_g p)(x) = det(g) p(g^-1 x)

    Args:
      element: the index of g in the group.
      x: pseudoscalar fields `[batch, *spatial, channels]`.
      group: the group that the index refers to.

    Raises:
      ValueError: if the element is not in the group, or the axes do not fit the dimension of the group.
    """
    check_spatial_axes(x, group, other_axes=("batch", "channels"))
    sign = np.sign(np.linalg.det(group.matrices[check_element(element, group)]))
    return act_on_grid(element, x, group=group) * x.dtype.type(sign)


def _moved(element: int | np.integer, x: AnyField, group: FiniteGroup) -> AnyOutField:
    """f(g^-1 x), whatever the axes behind the spatial ones."""
    moved = act_on_grid(element, x.reshape(*x.shape[: 1 + group.dim], -1), group=group)
    return moved.reshape(*moved.shape[:-1], *x.shape[1 + group.dim :])


def _turned(x: AnyField, matrix: np.ndarray) -> AnyField:
    """The components on the last axis multiplied by a matrix; NumPy arrays by NumPy."""
    matrix = matrix.astype(x.dtype)
    if isinstance(x, np.ndarray):
        return x @ matrix.T
    return jnp.einsum("...e,de->...d", x, matrix, precision="highest")

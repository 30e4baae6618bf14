"""The action on images: exact where the element maps the grid to itself, multilinear interpolation elsewhere."""

import jax
import jax.numpy as jnp
import numpy as np

from gequi_jax._checks import check_element, check_spatial_axes
from gequi_jax._typing import AnyGrid, AnyOutGrid, Array, OutGrid
from gequi_jax.actions._positions import window_offsets
from gequi_jax.groups import FiniteGroup


def act_on_grid(element: int | np.integer, x: AnyGrid, *, group: FiniteGroup) -> AnyOutGrid:
    """Transforms images by one group element, about their centre.

        (L_h f)(x) = f(h^-1 x)

    A matrix that permutes and reverses the axes only moves array entries: no arithmetic, and images of any shape (a
    quarter turn exchanges the sides of an oblong image). Any other element interpolates multilinearly, reads zeros
    outside the image, and keeps its shape. NumPy arrays are transformed by NumPy, without a program to compile.

    Args:
      element: the index of h in the group.
      x: images `[batch, *spatial, channels]`.
      group: the group that the index refers to.

    Raises:
      ValueError: if the element is not in the group, the number of spatial axes is not the dimension of the group, or
        images of integers would have to be interpolated.

    Example:
      >>> from gequi_jax.groups import cyclic_group
      >>> image = jnp.arange(6.0).reshape(1, 2, 3, 1)
      >>> turned = act_on_grid(1, image, group=cyclic_group(4))
      >>> bool((turned == jnp.rot90(image, 1, axes=(1, 2))).all())
      True
    """
    check_spatial_axes(x, group, other_axes=("batch", "channels"))
    matrix = group.matrices[check_element(element, group)]
    if not _permutes_axes(matrix):
        if not jnp.issubdtype(x.dtype, jnp.floating):
            raise ValueError(
                f"x: expected images of a floating type, since element {element} of {group.name} interpolates them; got "
                f"{x.dtype}; convert them first."
            )
        return _interpolate(x, np.linalg.inv(matrix))
    source = np.abs(matrix).argmax(axis=1)
    signs = matrix.sum(axis=1)
    moved = x.transpose((0, *(source + 1).tolist(), x.ndim - 1))
    return moved[(slice(None), *(slice(None, None, int(sign)) for sign in signs))]


def grid_preserving_elements(group: FiniteGroup) -> list[int]:
    """The elements that map the square (cubic) grid to itself: those whose action on images is exact.

    Example:
      >>> from gequi_jax.groups import cyclic_group
      >>> grid_preserving_elements(cyclic_group(8))
      [0, 2, 4, 6]
    """
    return [h for h in range(group.order) if _permutes_axes(group.matrices[h])]


def _permutes_axes(matrix: np.ndarray) -> bool:
    magnitude = np.abs(matrix)
    return bool(
        np.isin(magnitude, (0.0, 1.0)).all() and (magnitude.sum(0) == 1).all() and (magnitude.sum(1) == 1).all()
    )


def _interpolate(x: AnyGrid, inverse_matrix: np.ndarray) -> OutGrid:
    spatial_shape = x.shape[1:-1]
    centre = (np.asarray(spatial_shape) - 1) / 2
    source = window_offsets(spatial_shape) @ inverse_matrix.T + centre
    # A narrow type would round the coordinates too.
    wide = np.promote_types(x.dtype, np.float32)
    coordinates = list(jnp.asarray(source.T, dtype=wide))

    def one_image(image: Array) -> Array:
        return jax.scipy.ndimage.map_coordinates(image, coordinates, order=1).reshape(spatial_shape)

    return jax.vmap(jax.vmap(one_image, in_axes=-1, out_axes=-1))(jnp.asarray(x, wide)).astype(x.dtype)

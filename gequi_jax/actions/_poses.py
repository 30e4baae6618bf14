"""The action on poses: the elements of the group, permuted."""

import numpy as np

from gequi_jax._checks import check_element
from gequi_jax._typing import Array
from gequi_jax.groups import FiniteGroup


def act_on_poses(
    element: int | np.integer, x: Array | np.ndarray, *, group: FiniteGroup, axis: int
) -> Array | np.ndarray:
    """Permutes one axis of poses by one element: the regular representation of the group alone.

        (L_g f)(h) = f(g^-1 h)

    Positions do not move: `act_on_feature_map` moves both. An array with several axes of poses, such as an attention map,
    is transformed by one call for each. NumPy arrays stay NumPy arrays.

    Args:
      element: the index of g in the group.
      x: an array with an axis of poses.
      group: the group that the index and the axis refer to.
      axis: the axis of poses.

    Raises:
      ValueError: if the element is not in the group, or the axis does not have one entry for each element.

    Example:
      >>> from gequi_jax.groups import cyclic_group
      >>> act_on_poses(1, np.array([10, 11, 12, 13]), group=cyclic_group(4), axis=0).tolist()
      [13, 10, 11, 12]
    """
    if x.shape[axis] != group.order:
        raise ValueError(
            f"axis: expected an axis of size {group.order}, one entry for each element of {group.name}; axis {axis} of an "
            f"array of shape {x.shape} has {x.shape[axis]}."
        )
    return x.take(group.cayley_table[group.inverses[check_element(element, group)]], axis=axis)

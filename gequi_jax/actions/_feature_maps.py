"""The action on functions on the group: the regular representation."""

import numpy as np

from gequi_jax._checks import check_group_axis, check_spatial_axes
from gequi_jax._typing import AnyFeatureMap, AnyOutFeatureMap
from gequi_jax.actions._grids import act_on_grid
from gequi_jax.actions._poses import act_on_poses
from gequi_jax.groups import FiniteGroup


def act_on_feature_map(element: int | np.integer, x: AnyFeatureMap, *, group: FiniteGroup) -> AnyOutFeatureMap:
    """Transforms feature maps on the group by one element: the images are transformed and the poses are permuted.

        (L_g f)(x, h) = f(g^-1 x, g^-1 h)

    Args:
      element: the index of g in the group.
      x: feature maps `[batch, *spatial, group, channels]`.
      group: the group that the index and the group axis refer to.

    Raises:
      ValueError: if the element is not in the group, or the axes or the size of the group axis do not fit the group.
    """
    check_spatial_axes(x, group, other_axes=("batch", "group", "channels"))
    check_group_axis(x, group, axis=-2)
    merged = act_on_poses(element, x, group=group, axis=-2).reshape(*x.shape[:-2], -1)
    moved = act_on_grid(element, merged, group=group)
    return moved.reshape(*moved.shape[:-1], *x.shape[-2:])

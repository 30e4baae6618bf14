"""Maps of transformed images against the transformed maps of the image."""

from collections.abc import Sequence

import numpy as np

from gequi_jax import actions, groups


def transform_maps(element: int, maps: np.ndarray, group: groups.FiniteGroup, *, pose_axes: int) -> np.ndarray:
    """L_g of maps, (L_g f)(x, h, k, ...) = f(g^-1 x, g^-1 h, g^-1 k, ...).

    Args:
      element: the index of g.
      maps: `[n, *sizes, *poses, ...]`.
      group: the group.
      pose_axes: the number of axes that are indexed by group elements.
    """
    source = group.cayley_table[group.inverses[element]]
    first = 1 + group.dim
    for axis in range(first, first + pose_axes):
        maps = maps.take(source, axis=axis)
    flat = maps.reshape(*maps.shape[:first], -1)
    return np.asarray(actions.act_on_grid(element, flat, group=group)).reshape(maps.shape)


def differences(maps: np.ndarray, elements: Sequence[int], group: groups.FiniteGroup) -> np.ndarray:
    """Maps of transformed images minus the transformed maps of the image, float64.

    Args:
      maps: `[images, *sizes, poses]`, with one pose for functions of the position alone; the first images are the image
        under each element.
      elements: these elements, the identity first.
      group: the group.
    """
    pose_axes = int(maps.shape[-1] > 1)
    expected = [transform_maps(element, maps[:1], group, pose_axes=pose_axes)[0] for element in elements]
    return maps[: len(elements)].astype(np.float64) - np.asarray(expected, np.float64)

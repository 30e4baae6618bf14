"""Feature maps and subgroups: pooling over cosets, and the same feature map for fewer symmetries."""

import numpy as np

from gequi_jax._checks import check_group, check_group_axis
from gequi_jax._typing import FeatureMap, OutFeatureMap
from gequi_jax.functional._pooling import Reduction, group_pool
from gequi_jax.groups import FiniteGroup, left_cosets, right_cosets


def coset_pool(
    x: FeatureMap, *, group: FiniteGroup, subgroup: FiniteGroup, reduction: Reduction = "max"
) -> OutFeatureMap:
    """Pools the poses over each left coset of a subgroup K: from functions on H to functions on the quotient H / K.

        y(x, r K) = max over k in K of f(x, r k)

    Equivariant under all of H, which permutes the cosets: with L_g f for f, y(x, r K) becomes y(g^-1 x, g^-1 r K). With
    the mirror group for K, feature maps on p4m become feature maps on p4; with K = H, feature maps on z2.

    Args:
      x: feature maps `[batch, *spatial, group, channels]`.
      group: the group H.
      subgroup: the subgroup K.
      reduction: "max", "mean" or "sum".

    Returns:
      `[batch, *spatial, |H| / |K|, channels]`, with the cosets in the order of `gequi_jax.groups.left_cosets`.

    Raises:
      ValueError: if K is not a subgroup of H, the group axis is not of size |H|, or the reduction is unknown.

    Reference: Cohen & Welling (2016), section 6.3.

    Example:
      >>> import jax.numpy as jnp
      >>> from gequi_jax.groups import dihedral_group, mirror_group
      >>> coset_pool(jnp.ones((2, 9, 9, 8, 3)), group=dihedral_group(4), subgroup=mirror_group()).shape
      (2, 9, 9, 4, 3)
    """
    check_group(group)
    check_group_axis(x, group, axis=-2)
    cosets = left_cosets(group, subgroup)
    return group_pool(x.take(np.ravel(cosets), axis=-2).reshape(*x.shape[:-2], *cosets.shape, -1), reduction=reduction)


def restrict_poses(x: FeatureMap, *, group: FiniteGroup, subgroup: FiniteGroup) -> OutFeatureMap:
    """The same feature map for fewer symmetries: the poses are split into cosets, which become channels.

        f_i(x, k) = f(x, k r_i)

    for the representatives r_i of the right cosets K r_i. Every f_i is a feature map on R^d x| K: with L_k f for f, k in
    K, each becomes L_k f_i. Only the order of the entries changes.

    Args:
      x: feature maps `[batch, *spatial, group, channels]`.
      group: the group H.
      subgroup: the subgroup K.

    Returns:
      `[batch, *spatial, |K|, channels * |H| / |K|]`; the cosets of a channel are neighbours.

    Raises:
      ValueError: if K is not a subgroup of H, or the group axis is not of size |H|.

    Example:
      >>> import jax.numpy as jnp
      >>> from gequi_jax.groups import cyclic_group, dihedral_group
      >>> restrict_poses(jnp.ones((2, 9, 9, 8, 3)), group=dihedral_group(4), subgroup=cyclic_group(4)).shape
      (2, 9, 9, 4, 6)
    """
    check_group(group)
    check_group_axis(x, group, axis=-2)
    cosets = right_cosets(group, subgroup)
    by_pose = x.take(np.ravel(cosets.T), axis=-2).reshape(*x.shape[:-2], *cosets.T.shape, x.shape[-1])
    return by_pose.swapaxes(-1, -2).reshape(*by_pose.shape[:-2], -1)


def unrestrict_poses(x: FeatureMap, *, group: FiniteGroup, subgroup: FiniteGroup) -> OutFeatureMap:
    """The inverse of `restrict_poses`: the cosets among the channels become poses of H again.

    Args:
      x: feature maps `[batch, *spatial, |K|, channels * |H| / |K|]`.
      group: the group H.
      subgroup: the subgroup K.

    Returns:
      `[batch, *spatial, |H|, channels]`.

    Raises:
      ValueError: if K is not a subgroup of H, or the axes are not of these sizes.
    """
    check_group(group)
    check_group_axis(x, subgroup, axis=-2)
    cosets = right_cosets(group, subgroup)
    if x.shape[-1] % len(cosets):
        raise ValueError(
            f"input: expected a number of channels divisible by {len(cosets)}, the cosets of {subgroup.name} in "
            f"{group.name}; got shape {x.shape}."
        )
    by_pose = x.reshape(*x.shape[:-1], -1, len(cosets)).swapaxes(-1, -2)
    flat = by_pose.reshape(*x.shape[:-2], group.order, -1)
    return flat.take(np.argsort(np.ravel(cosets.T)), axis=-2)

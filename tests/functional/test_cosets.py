"""Pooling over cosets, and feature maps for a subgroup."""

import jax.numpy as jnp
import numpy as np
import pytest

from gequi_jax import functional
from gequi_jax.actions import act_on_feature_map, act_on_grid
from gequi_jax.groups import group_by_name, left_cosets, mirror_group, octahedral_group, right_cosets
from gequi_jax.testing import assert_equivariant
from tests import families
from tests.reference import cosets as reference

PAIRS = [
    *((families.SHUFFLED_SQUARE, subgroup) for subgroup in group_by_name("p4m").subgroups()),
    (octahedral_group(), octahedral_group().subgroups()[4]),
]
pairs = pytest.mark.parametrize(("group", "subgroup"), PAIRS, ids=lambda group: group.name)
REDUCTIONS = {"max": np.max, "mean": np.mean, "sum": np.sum}


def feature_map(group, channels=2):
    shape = (2, *(3,) * group.dim, group.order, channels)
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


@pytest.mark.parametrize("reduction", list(REDUCTIONS))
@pairs
def test_coset_pool_equals_its_equation(group, subgroup, reduction):
    x = feature_map(group)
    y = functional.coset_pool(jnp.asarray(x), group=group, subgroup=subgroup, reduction=reduction)
    representatives = left_cosets(group, subgroup)[:, subgroup.identity]
    expected = reference.coset_pool(x, group, subgroup, representatives, REDUCTIONS[reduction])
    np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-6)


@pairs
def test_the_whole_group_permutes_the_cosets(group, subgroup):
    """y(x, r K) becomes y(g^-1 x, g^-1 r K), for every g of H; with another order of the cosets it does not."""
    x, cosets = jnp.asarray(feature_map(group)), left_cosets(group, subgroup)
    options = {"group": group, "subgroup": subgroup}
    y = functional.coset_pool(x, **options)
    for g in range(group.order):
        moved = functional.coset_pool(act_on_feature_map(g, x, group=group), **options)
        source = group.cayley_table[group.inverses[g], cosets[:, 0]]
        order = [int(np.argwhere((cosets == h).any(axis=1))[0, 0]) for h in source]
        flat = y.take(np.array(order), axis=-2).reshape(*y.shape[:-2], -1)
        expected = act_on_grid(g, flat, group=group).reshape(y.shape)
        np.testing.assert_array_equal(moved, expected)
        if order != sorted(order):
            assert not np.array_equal(moved, act_on_grid(g, y.reshape(flat.shape), group=group).reshape(y.shape))


def test_feature_maps_of_the_square_become_those_of_its_rotations():
    """With the mirror group for K, the 4 cosets are the poses of p4, which rotates them as its own feature maps."""
    group, rotations = group_by_name("p4m"), group_by_name("p4")
    x = jnp.asarray(feature_map(group))
    y = functional.coset_pool(x, group=group, subgroup=mirror_group())
    for k in range(4):
        moved = functional.coset_pool(act_on_feature_map(k, x, group=group), group=group, subgroup=mirror_group())
        np.testing.assert_array_equal(moved, act_on_feature_map(k, y, group=rotations))


@pairs
def test_restricted_poses_equal_their_equation_and_can_be_put_back(group, subgroup):
    x, groups = feature_map(group), {"group": group, "subgroup": subgroup}
    y = functional.restrict_poses(jnp.asarray(x), **groups)
    representatives = right_cosets(group, subgroup)[:, subgroup.identity]
    np.testing.assert_array_equal(y, reference.restrict_poses(x, group, subgroup, representatives))
    np.testing.assert_array_equal(functional.unrestrict_poses(y, **groups), x)


@pairs
def test_restricted_poses_transform_as_feature_maps_of_the_subgroup(group, subgroup):
    groups = {"group": group, "subgroup": subgroup}
    y = functional.restrict_poses(jnp.asarray(feature_map(group)), **groups)
    spaces = {"input": "feature_map", "output": "feature_map"}

    def there_and_back(y):
        x = functional.unrestrict_poses(y, **groups)
        # The mean over all poses commutes with H, and so with K.
        return functional.restrict_poses(x + x.mean(axis=-2, keepdims=True), **groups)

    assert_equivariant(there_and_back, y, group=subgroup, **spaces)


def test_what_does_not_fit_is_refused():
    group = group_by_name("p4m")
    x = jnp.asarray(feature_map(group))
    for function in (functional.coset_pool, functional.restrict_poses):
        with pytest.raises(ValueError, match="expected a subgroup of p4m; got p8"):
            function(x, group=group, subgroup=group_by_name("p8"))
        with pytest.raises(ValueError, match="expected a group axis of size 4"):
            function(x, group=group_by_name("p4"), subgroup=group_by_name("z2"))
    with pytest.raises(ValueError, match="divisible by 4, the cosets of z2m in p4m"):
        functional.unrestrict_poses(x[..., :2, :1], group=group, subgroup=mirror_group())

"""Which pose indices make group self-attention equivariant, and how far the others are from it."""

import jax
import numpy as np
import pytest
from flax import nnx

from gequi_jax import functional
from gequi_jax.groups import FiniteGroup, cyclic_group, dihedral_group, mirror_group, trivial_group
from gequi_jax.nn import GroupSelfAttention
from gequi_jax.testing import equivariance_errors

INVARIANT = [
    functional.key_pose,
    functional.query_and_key_pose,
    functional.relative_pose,
    functional.ge_vit_pose,
]
BROKEN = [functional.printed_pose, functional.published_pose]
GROUPS = [mirror_group(), cyclic_group(4), cyclic_group(8), dihedral_group(3), dihedral_group(4)]


def name(case):
    return case.name if isinstance(case, FiniteGroup) else case.__name__


@pytest.mark.parametrize("pose_index", INVARIANT + BROKEN, ids=name)
@pytest.mark.parametrize("group", GROUPS, ids=name)
def test_tables_are_invariant_or_not(pose_index, group):
    table = pose_index(group)
    n = group.order
    assert table.shape == (n, n, n)
    rows = n * n if pose_index is functional.query_and_key_pose else n
    assert sorted(set(table.ravel().tolist())) == list(range(rows))
    assert functional.is_invariant(pose_index, group) == (pose_index in INVARIANT)


@pytest.mark.parametrize("pose_index", INVARIANT + BROKEN, ids=name)
def test_without_poses_every_index_is_the_same(pose_index):
    assert pose_index(trivial_group()).tolist() == [[[0]]]


@pytest.mark.parametrize("group", [cyclic_group(4), dihedral_group(3), dihedral_group(4)], ids=name)
def test_tables_against_products_of_matrices(group):
    m = group.matrices
    inverse = np.linalg.inv(m)

    def element(matrix):
        return int(np.abs(m - matrix).max(axis=(1, 2)).argmin())

    for h in range(group.order):
        for a in range(group.order):
            for b in range(group.order):
                key = element(inverse[h] @ m[b])
                assert functional.key_pose(group)[h, a, b] == key
                query = element(inverse[h] @ m[a])
                assert functional.query_and_key_pose(group)[h, a, b] == query * group.order + key
                assert functional.relative_pose(group)[h, a, b] == element(inverse[a] @ m[b])
                assert functional.printed_pose(group)[h, a, b] == element(inverse[h] @ inverse[a] @ m[b])
                ge_vit = element(inverse[h] @ m[a] @ inverse[b] @ m[a])
                assert functional.ge_vit_pose(group)[h, a, b] == ge_vit


def test_every_invariant_table_is_a_function_of_the_pair():
    group = dihedral_group(4)
    pair = functional.query_and_key_pose(group).ravel()
    for pose_index in INVARIANT:
        rows = pose_index(group).ravel()
        assert all(len(set(rows[pair == row])) == 1 for row in range(group.order**2))


def test_the_published_table_wants_a_cyclic_or_dihedral_group():
    klein = FiniteGroup([np.diag([a, b]) for a in (1, -1) for b in (1, -1)], name="Klein four-group")
    with pytest.raises(ValueError, match=r"a cyclic group .* or a dihedral group .*Klein"):
        functional.published_pose(klein)
    with pytest.raises(ValueError, match="a cyclic group"):
        functional.published_pose(trivial_group(3))


def layer_errors(pose_index, group):
    layer = GroupSelfAttention(
        4, 4, group=group, num_heads=2, qkv_features=18, window_size=3, pose_index=pose_index, rngs=nnx.Rngs(1)
    )
    x = jax.random.normal(jax.random.key(2), (2, 6, 6, group.order, 4))
    return equivariance_errors(nnx.jit(layer), x, group=group, input="feature_map")


@pytest.mark.parametrize("pose_index", INVARIANT, ids=name)
@pytest.mark.parametrize("group", [pytest.param(cyclic_group(4), marks=pytest.mark.slow), dihedral_group(4)], ids=name)
def test_layers_with_an_invariant_index_are_equivariant(pose_index, group):
    assert layer_errors(pose_index, group).max() < 1e-5


@pytest.mark.parametrize("pose_index", BROKEN, ids=name)
@pytest.mark.parametrize("group", [cyclic_group(4), dihedral_group(4)], ids=name)
def test_layers_with_a_broken_index_are_not(pose_index, group):
    errors = layer_errors(pose_index, group)
    print(f"{name(pose_index)} on {group.name}: relative error up to {errors.max():.3f}")
    assert errors.max() > 0.01
    assert errors[group.identity] == 0.0

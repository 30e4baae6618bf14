"""Subgroups, their classes, embeddings and cosets."""

import itertools

import numpy as np
import pytest

from gequi_jax.groups import (
    FiniteGroup,
    cyclic_group,
    dihedral_group,
    full_octahedral_group,
    icosahedral_group,
    left_cosets,
    mirror_group,
    octahedral_group,
    right_cosets,
    subgroup_elements,
    tetrahedral_group,
    trivial_group,
)
from tests import families

PAIRS = [
    (dihedral_group(4), cyclic_group(4)),
    (dihedral_group(4), mirror_group()),
    (families.SHUFFLED_SQUARE, cyclic_group(4)),
    (dihedral_group(8), dihedral_group(4)),
    (octahedral_group(), families.QUARTER_TURNS_3D),
    (icosahedral_group(), tetrahedral_group()),
    (cyclic_group(4), trivial_group()),
]


def pair_name(pair):
    return "-".join(families.name(group) for group in pair)


def test_a_subgroup_keeps_the_order_it_is_given():
    group = dihedral_group(4).subgroup([0, 3, 2, 1], name="turned back")
    np.testing.assert_array_equal(group.matrices, dihedral_group(4).matrices[[0, 3, 2, 1]])
    assert group.name == "turned back"
    assert dihedral_group(4).subgroup(range(4)) == cyclic_group(4)


@pytest.mark.parametrize(
    ("elements", "message"),
    [
        ([0, 1], r"closed under the product; got \[0, 1\], which lacks 1 times 1 = 2"),
        ([2], "which lacks 2 times 2 = 0"),
        ([0, 0], "distinct indices from 0 to 7"),
        ([0, 8], "distinct indices"),
        ([0, True], "distinct indices"),
        ([], "distinct indices"),
    ],
)
def test_what_is_no_subgroup_is_refused(elements, message):
    with pytest.raises(ValueError, match=f"elements: expected.*{message}"):
        dihedral_group(4).subgroup(elements)


# Numbers of conjugacy classes of subgroups, as in the literature.
@pytest.mark.parametrize(
    ("group", "classes"),
    [
        (trivial_group(), 1),
        (cyclic_group(12), 6),
        (dihedral_group(4), 8),
        (tetrahedral_group(), 5),
        (octahedral_group(), 11),
        (full_octahedral_group(), 33),
        (icosahedral_group(), 9),
        (families.QUATERNIONS, 6),
    ],
    ids=lambda value: families.name(value) if isinstance(value, FiniteGroup) else str(value),
)
def test_classes_of_subgroups(group, classes):
    subgroups = group.subgroups()
    assert len(subgroups) == classes
    assert subgroups[0].order == 1
    assert subgroups[-1].order == group.order
    assert [subgroup.order for subgroup in subgroups] == sorted(subgroup.order for subgroup in subgroups)


@pytest.mark.parametrize("group", [dihedral_group(4), families.QUATERNIONS, tetrahedral_group()], ids=families.name)
def test_classes_are_those_found_by_brute_force(group):
    table, inverses = group.cayley_table, group.inverses
    closed = {
        frozenset(chosen)
        for size in range(1, group.order + 1)
        for chosen in itertools.combinations(range(group.order), size)
        if np.isin(table[np.ix_(chosen, chosen)], chosen).all()
    }
    classes = {
        frozenset(frozenset(table[table[h, list(s)], inverses[h]].tolist()) for h in range(group.order)) for s in closed
    }
    found = {frozenset(subgroup_elements(group, subgroup).tolist()) for subgroup in group.subgroups()}
    assert len(found) == len(classes)
    assert all(len(found & members) == 1 for members in classes)


@pytest.mark.parametrize("pair", PAIRS, ids=pair_name)
def test_the_embedding_is_a_homomorphism(pair):
    group, subgroup = pair
    elements = subgroup_elements(group, subgroup)
    np.testing.assert_array_equal(group.cayley_table[np.ix_(elements, elements)], elements[subgroup.cayley_table])


@pytest.mark.parametrize("pair", PAIRS, ids=pair_name)
def test_cosets_partition_the_group(pair):
    group, subgroup = pair
    for cosets, multiply in (
        (right_cosets(*pair), lambda k, r: group.matrices[k] @ group.matrices[r]),
        (left_cosets(*pair), lambda k, r: group.matrices[r] @ group.matrices[k]),
    ):
        assert cosets.shape == (group.order // subgroup.order, subgroup.order)
        np.testing.assert_array_equal(np.sort(cosets, axis=None), np.arange(group.order))
        elements = subgroup_elements(group, subgroup)
        np.testing.assert_array_equal(cosets[0], elements)
        for coset in cosets:
            representative = coset[subgroup.identity]
            for k, index in zip(elements, coset, strict=True):
                np.testing.assert_allclose(group.matrices[index], multiply(k, representative), atol=1e-12)


@pytest.mark.parametrize("pair", PAIRS, ids=pair_name)
def test_restriction_splits_poses_by_right_cosets(pair):
    """For k in K, (L_k f)_i(k') = f_i(k^-1 k'): each right coset is a regular feature map of K."""
    group, subgroup = pair
    f = np.random.default_rng(0).normal(size=group.order)
    cosets, elements = right_cosets(*pair), subgroup_elements(*pair)
    for k in range(subgroup.order):
        moved = f[group.cayley_table[group.inverses[elements[k]]]]
        expected = f[cosets][:, subgroup.cayley_table[subgroup.inverses[k]]]
        np.testing.assert_array_equal(moved[cosets], expected)


def test_left_cosets_do_not_split_the_poses_of_a_subgroup_that_is_not_normal():
    """The negative control: the mirror of the square moves its left cosets, not its right ones."""
    group, subgroup = dihedral_group(4), mirror_group()
    mirrored = group.cayley_table[subgroup_elements(group, subgroup)[1]]
    as_sets = [set(coset.tolist()) for coset in left_cosets(group, subgroup)]
    assert any(set(mirrored[coset].tolist()) != set(coset.tolist()) for coset in left_cosets(group, subgroup))
    assert all(set(mirrored[coset].tolist()) in as_sets for coset in left_cosets(group, subgroup))
    assert all(set(mirrored[coset].tolist()) == set(coset.tolist()) for coset in right_cosets(group, subgroup))


def test_groups_that_are_no_subgroups_are_refused():
    with pytest.raises(ValueError, match=r"of p4m; got p8, whose element 1 is not in it"):
        right_cosets(dihedral_group(4), cyclic_group(8))
    with pytest.raises(ValueError, match="of dimension 3; got p4, of dimension 2"):
        subgroup_elements(octahedral_group(), cyclic_group(4))

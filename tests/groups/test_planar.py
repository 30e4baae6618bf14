"""The planar groups and their names."""

import numpy as np
import pytest

from gequi_jax.groups import cyclic_group, dihedral_group, group_by_name, mirror_group, trivial_group


def test_orders():
    assert [trivial_group(dim).dim for dim in (1, 2, 3)] == [1, 2, 3]
    assert trivial_group().order == 1
    assert mirror_group().order == 2
    for n in (1, 2, 3, 4, 8, 12, 16):
        assert cyclic_group(n).order == n
        assert dihedral_group(n).order == 2 * n


def test_dihedral_elements_are_flip_first_then_rotation():
    group = dihedral_group(4)
    flip = np.diag([1.0, -1.0])
    for k in range(4):
        np.testing.assert_array_equal(group.matrices[4 + k], group.matrices[k] @ flip)


@pytest.mark.parametrize(
    ("name", "group"),
    [
        ("z2", trivial_group()),
        ("z2m", mirror_group()),
        ("p4", cyclic_group(4)),
        ("r4", cyclic_group(4)),
        ("p4m", dihedral_group(4)),
        ("r4m", dihedral_group(4)),
        ("r8", cyclic_group(8)),
        ("r8m", dihedral_group(8)),
        ("r12", cyclic_group(12)),
        ("r16", cyclic_group(16)),
        ("p1m", mirror_group()),
    ],
)
def test_names(name, group):
    assert group_by_name(name) == group


@pytest.mark.parametrize("name", ["", "p", "p0", "p04", "q4", "4", "p4M", "p4mm", "p1\u0664", "z3", None, 4])
def test_unknown_names_are_refused(name):
    with pytest.raises(ValueError, match="group name: expected"):
        group_by_name(name)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("r100000", r"at most 512 rotations, a group of 512 elements; got 100000\. .* cyclic_group\(n\)"),
        ("p513", "at most 512 rotations"),
        ("p257m", r"at most 256 rotations with mirroring, .* dihedral_group\(n\)"),
        ("r" + 5000 * "9", "got a number of 5000 digits"),
    ],
)
def test_names_of_groups_too_large_to_tabulate_are_refused(name, message):
    with pytest.raises(ValueError, match=message):
        group_by_name(name)


def test_large_groups_have_names():
    assert group_by_name("p128").order == group_by_name("r64m").order == 128


@pytest.mark.parametrize("n", [0, -1, 2.0, True, "4"])
def test_orders_that_are_no_positive_integer_are_refused(n):
    with pytest.raises(ValueError, match="positive integer"):
        cyclic_group(n)

"""The names of groups in one, two and three dimensions."""

import numpy as np
import pytest

from gequi_jax.groups import (
    cyclic_group,
    dihedral_group,
    full_octahedral_group,
    group_by_name,
    icosahedral_group,
    in_plane,
    mirror_group,
    octahedral_group,
    tetrahedral_group,
    trivial_group,
)


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
    assert group_by_name(name) == group_by_name(name, dim=2) == group
    assert group_by_name(name, dim=3) == in_plane(group)
    assert group_by_name(f"{name}_depth_mirror", dim=3) == in_plane(group, mirror=True)


@pytest.mark.parametrize(
    ("name", "group"),
    [
        ("tetrahedral", tetrahedral_group()),
        ("octahedral", octahedral_group()),
        ("full_octahedral", full_octahedral_group()),
        ("icosahedral", icosahedral_group()),
    ],
)
def test_names_of_volumes(name, group):
    assert group_by_name(name) == group_by_name(name, dim=3) == group
    assert group_by_name(name).name == name
    with pytest.raises(ValueError, match=f"dimension 2; got '{name}', of dimension 3"):
        group_by_name(name, dim=2)


def test_names_of_signals():
    assert group_by_name("z2", dim=1) == trivial_group(1)
    np.testing.assert_array_equal(group_by_name("z2m", dim=1).matrices, [[[1.0]], [[-1.0]]])
    with pytest.raises(ValueError, match="'z2' or 'z2m' in dimension 1; got 'p4'"):
        group_by_name("p4", dim=1)


def test_the_mirror_reverses_the_last_axis_in_every_dimension():
    for dim in (1, 2, 3):
        np.testing.assert_array_equal(np.diag(mirror_group(dim).matrices[1]), [1.0] * (dim - 1) + [-1.0])
    assert group_by_name("z2m", dim=3) == mirror_group(3)
    assert group_by_name("z2", dim=3) == trivial_group(3)


@pytest.mark.parametrize("dim", [None, 2, 3])
@pytest.mark.parametrize("name", ["", "p", "p0", "p04", "q4", "4", "p4M", "p4mm", "p1\u0664", "z3", None, 4])
def test_unknown_names_are_refused(name, dim):
    with pytest.raises(ValueError, match="group name: expected"):
        group_by_name(name, dim=dim)


def test_the_depth_mirror_needs_volumes():
    with pytest.raises(ValueError, match="group name: expected"):
        group_by_name("p4_depth_mirror")


@pytest.mark.parametrize("dim", [0, 4, "2"])
def test_other_dimensions_are_refused(dim):
    with pytest.raises(ValueError, match="dim: expected 1, 2 or 3"):
        group_by_name("p4", dim=dim)


@pytest.mark.parametrize(
    ("name", "dim", "message"),
    [
        ("r100000", 2, r"at most 512 rotations, a group of 512 elements; got 100000\. .* cyclic_group\(n\)"),
        ("p513", 2, "at most 512 rotations"),
        ("p257m", 2, r"at most 256 rotations with mirroring, .* dihedral_group\(n\)"),
        ("p129m_depth_mirror", 3, "at most 128 rotations with mirroring"),
        ("r" + 5000 * "9", 2, "got a number of 5000 digits"),
    ],
)
def test_names_of_groups_too_large_to_tabulate_are_refused(name, dim, message):
    with pytest.raises(ValueError, match=message):
        group_by_name(name, dim=dim)


def test_large_groups_have_names():
    assert group_by_name("p128").order == group_by_name("r64m").order == 128

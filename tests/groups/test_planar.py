"""The planar groups."""

import numpy as np
import pytest

from gequi_jax.groups import cyclic_group, dihedral_group, mirror_group, trivial_group


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


@pytest.mark.parametrize("n", [0, -1, 2.0, True, "4"])
def test_orders_that_are_no_positive_integer_are_refused(n):
    with pytest.raises(ValueError, match="positive integer"):
        cyclic_group(n)

"""FiniteGroup: axioms, tables, value semantics, errors."""

import copy
import pickle

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gequi_jax.groups import FiniteGroup, cyclic_group, dihedral_group
from tests import families


@pytest.mark.parametrize("group", families.PLANAR + families.OTHER_DIMENSIONS, ids=families.name)
def test_tables_agree_with_the_matrices(group):
    for g in range(group.order):
        for h in range(group.order):
            product = group.matrices[g] @ group.matrices[h]
            np.testing.assert_allclose(group.matrices[group.cayley_table[g, h]], product, atol=1e-12)
        np.testing.assert_allclose(group.matrices[group.inverses[g]], np.linalg.inv(group.matrices[g]), atol=1e-12)
    np.testing.assert_array_equal(group.matrices[group.identity], np.eye(group.dim))


def test_right_angles_are_exact_integers():
    for n in (4, 8, 12, 16):
        quarter_turn = cyclic_group(n).matrices[n // 4]
        np.testing.assert_array_equal(quarter_turn, [[0, -1], [1, 0]])
        assert not np.signbit(quarter_turn[0, 0])


def test_equality_and_hash_are_by_value():
    again = FiniteGroup(dihedral_group(4).matrices, name="another name")
    assert again == dihedral_group(4)
    assert hash(again) == hash(dihedral_group(4))
    assert again != families.SHUFFLED_SQUARE
    assert again != "p4m"


def test_a_group_is_a_static_argument_that_compiles_once():
    traces = []

    @jax.jit
    def traced(x):
        traces.append(1)
        return x

    by_group = jax.jit(lambda x, group: traced(x) * float(group.order), static_argnums=1)
    assert by_group(1.0, cyclic_group(4)) == by_group(1.0, FiniteGroup(cyclic_group(4).matrices)) == 4.0
    assert len(traces) == 1


def test_a_group_cannot_be_changed():
    group = cyclic_group(4)
    with pytest.raises(AttributeError, match="immutable"):
        group.name = "p5"
    with pytest.raises(ValueError, match="read-only"):
        group.matrices[0, 0, 0] = 2.0


def test_copies_and_pickles_are_equal():
    group = dihedral_group(3)
    for other in (copy.copy(group), copy.deepcopy(group), pickle.loads(pickle.dumps(group))):
        assert other == group
        assert other.name == group.name


def test_generate_closes_under_the_product():
    octahedral = FiniteGroup.generate([[[0, -1, 0], [1, 0, 0], [0, 0, 1]], [[0, 0, 1], [1, 0, 0], [0, 1, 0]]])
    assert octahedral.order == 24
    assert octahedral.identity == 0


@settings(deadline=None, max_examples=30)
@given(n=st.integers(1, 12), mirror=st.booleans(), turn=st.floats(0, 6.28))
def test_conjugated_groups_are_groups(n, mirror, turn):
    base = dihedral_group(n) if mirror else cyclic_group(n)
    basis = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    conjugated = FiniteGroup(basis @ base.matrices @ basis.T)
    np.testing.assert_array_equal(conjugated.cayley_table, base.cayley_table)


@pytest.mark.parametrize(
    ("matrices", "message"),
    [
        ([[[0, -1], [1, 0]], [[1, 0], [0, 1]]], "closed under the product"),
        ([[[1, 0], [0, 1]], [[1, 0], [0, 1]]], "distinct"),
        ([[[0, 0], [0, 0]]], "identity"),
        ([[1, 0], [0, 1]], "expected shape"),
        (np.ones((2, 2, 3)), "expected shape"),
        (np.ones((0, 2, 2)), "expected shape"),
        ([[[np.nan, 0], [0, 1]]], "finite"),
        ([[["a", 0], [0, 1]]], "real numbers"),
    ],
)
def test_what_is_no_group_is_refused(matrices, message):
    with pytest.raises(ValueError, match=message):
        FiniteGroup(matrices)


def test_generators_of_infinite_order_are_refused():
    with pytest.raises(ValueError, match="finite order"):
        FiniteGroup.generate([[[1, 1], [0, 1]]], max_order=50)

"""Random finite groups: the axioms in any frame, against a closure by brute force; and what is no group."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gequi_jax.groups import FiniteGroup
from tests import random_groups
from tests.random_groups import SETTINGS


def slow(*values):
    return pytest.param(*values, marks=pytest.mark.slow)


def closure_by_brute_force(matrices):
    """All products, again and again, until there is nothing new; elements are told apart by rounding."""

    def distinct(elements):
        keys = np.round(elements.reshape(len(elements), -1), 6) + 0.0
        return elements[np.unique(keys, axis=0, return_index=True)[1]]

    elements = distinct(np.stack([np.eye(matrices[0].shape[0]), *matrices]))
    while True:
        products = np.einsum("aij,bjk->abik", elements, elements).reshape(-1, *elements.shape[1:])
        larger = distinct(products)
        if len(larger) == len(elements):
            return elements
        elements = larger


@pytest.mark.parametrize("examples", [150, slow(5_000)])
def test_what_random_elements_generate_is_a_group_in_any_frame(examples):
    orders = set()

    @settings(SETTINGS, max_examples=examples)
    @given(data=st.data())
    def holds(data):
        chosen = data.draw(random_groups.generators())
        dim = chosen[0].shape[0]
        frame = data.draw(random_groups.frames(dim))
        group = FiniteGroup.generate(chosen)
        turned = FiniteGroup.generate([frame @ element @ frame.T for element in chosen])
        np.testing.assert_array_equal(turned.cayley_table, group.cayley_table)
        assert group.order == len(closure_by_brute_force(chosen))
        for one in (group, turned):
            table, everything = one.cayley_table, np.arange(one.order)
            products = np.einsum("aij,bjk->abik", one.matrices, one.matrices)
            np.testing.assert_allclose(one.matrices[table], products, atol=1e-8)
            np.testing.assert_array_equal(table[table], table[:, table])  # (a b) c = a (b c)
            np.testing.assert_array_equal(table[one.identity], everything)
            np.testing.assert_array_equal(table[everything, one.inverses], one.identity)
            np.testing.assert_array_equal(np.sort(table, axis=1), np.broadcast_to(everything, table.shape))
        orders.add((dim, group.order))

    holds()
    print(f"{examples} sets of random elements, each in two frames: orders {sorted(orders)}")
    assert {dim for dim, _ in orders} == {1, 2, 3}
    assert len(orders) > 15


@pytest.mark.parametrize("examples", [100, slow(2_000)])
def test_random_matrices_that_miss_one_product_are_refused(examples):
    """The negative control: a group without one of its elements."""

    @settings(SETTINGS, max_examples=examples)
    @given(group=random_groups.groups(max_order=48), data=st.data())
    def refused(group, data):
        if group.order < 3:
            return
        rest = np.delete(group.matrices, data.draw(st.integers(0, group.order - 1)), axis=0)
        with pytest.raises(ValueError, match=r"closed under the product|identity"):
            FiniteGroup(rest)

    refused()

"""The action on vector, tensor and pseudoscalar fields: loops, composition, types and errors."""

import jax.numpy as jnp
import numpy as np
import pytest

from gequi_jax.actions import act_on_grid, act_on_pseudoscalar_field, act_on_tensor_field, act_on_vector_field
from gequi_jax.groups import cyclic_group, dihedral_group
from tests import families
from tests.reference import fields as reference

GROUPS = [families.SHUFFLED_SQUARE, families.HALF_TURN_1D, families.QUARTER_TURNS_3D]
ACTIONS = [(act_on_vector_field, 1), (act_on_tensor_field, 2)]


def field(group, rank, side=3):
    shape = (2, *(side,) * group.dim, 2, *(group.dim,) * rank)
    return np.random.default_rng(0).normal(size=shape)


@pytest.mark.parametrize("group", GROUPS, ids=families.name)
@pytest.mark.parametrize(("act", "rank"), ACTIONS)
def test_actions_agree_with_loops_and_compose(group, act, rank):
    x = field(group, rank)
    for g in range(group.order):
        once = act(g, x, group=group)
        np.testing.assert_allclose(once[0], reference.act_on_field(group.matrices[g], x[0], rank), atol=1e-12)
        for h in range(group.order):
            composed = act(group.cayley_table[h, g], x, group=group)
            np.testing.assert_array_equal(act(h, once, group=group), composed)


def test_the_gradient_of_a_turned_image_is_the_turned_gradient():
    group = dihedral_group(4)
    x = np.random.default_rng(0).normal(size=(1, 7, 7, 1))

    def gradient(x):
        return np.stack(np.gradient(x[..., 0], axis=(1, 2)), axis=-1)

    for g in range(group.order):
        turned = gradient(act_on_grid(g, x, group=group))
        np.testing.assert_allclose(turned, act_on_vector_field(g, gradient(x), group=group), atol=1e-12)


def test_the_vorticity_of_a_flow_is_a_pseudoscalar():
    group = dihedral_group(4)
    flow = np.random.default_rng(0).normal(size=(1, 7, 7, 2))

    def vorticity(v):
        return np.gradient(v[..., 1], axis=1)[..., None] - np.gradient(v[..., 0], axis=2)[..., None]

    for g in range(group.order):
        got = vorticity(act_on_vector_field(g, flow, group=group))
        expected = act_on_pseudoscalar_field(g, vorticity(flow), group=group)
        np.testing.assert_allclose(got, expected, atol=1e-12)


def test_arrays_of_jax_and_elements_that_interpolate():
    group = cyclic_group(8)
    v = jnp.zeros((1, 3, 3, 2)).at[0, 1, 1].set(jnp.asarray([1.0, 0.0]))
    centre = act_on_vector_field(1, v, group=group)[0, 1, 1]
    np.testing.assert_allclose(centre, np.asarray(group.matrices[1][:, 0]), atol=1e-6)
    assert centre.dtype == jnp.float32
    assert isinstance(act_on_tensor_field(2, field(group, 2), group=group), np.ndarray)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda g: act_on_vector_field(0, np.ones((1, 3, 3, 3)), group=g), r"field \[batch, rows, columns, ..., 2\]"),
        (lambda g: act_on_vector_field(0, np.ones((1, 3, 2)), group=g), "since p4 acts on 2 dimensions"),
        (lambda g: act_on_tensor_field(0, np.ones((1, 3, 3, 2)), group=g), r"columns, ..., 2, 2\]"),
        (lambda g: act_on_vector_field(4, np.ones((1, 3, 3, 2)), group=g), "element: expected an index from 0 to 3"),
        (lambda g: act_on_pseudoscalar_field(9, np.ones((1, 3, 3, 2)), group=g), "element: expected an index"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=message):
        call(cyclic_group(4))

"""The probabilities of one query against the operation itself, whose values are one-hot vectors of their keys."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gequi_jax import actions, functional
from gequi_jax.groups import cyclic_group
from tests import families
from tests.functional.self_attention.test_self_attention import HEADS, assert_same, operands

CASES = [
    pytest.param(
        group,
        shape,
        window_size,
        position,
        id=f"{families.name(group)}-{window_size}",
        marks=() if group.order == 8 else pytest.mark.slow,
    )
    for group, shape, window_size, position in [
        (cyclic_group(4), (4, 5), 3, (0, 3)),
        (families.SHUFFLED_SQUARE, (3, 2), None, (2, 1)),
        (families.HALF_TURN_1D, (7,), 5, (5,)),
        (families.QUARTER_TURNS_3D, (1, 2, 2), None, (0, 1, 0)),
    ]
]


def one_hot(key):
    """Values that name their keys: outputs are then what is paid to each."""
    shape = key.shape[1:-2]
    values = jnp.eye(int(np.prod(shape))).reshape(*shape, 1, -1)
    return jnp.broadcast_to(values, (*key.shape[:-1], values.shape[-1]))


def paid(out, key):
    """`[batch, *positions, key poses, output poses, heads]` from what the operation gives at one position."""
    return jnp.moveaxis(out, -1, 1).reshape(out.shape[0], *key.shape[1:-2], *out.shape[1:-1])


@pytest.mark.parametrize(("group", "shape", "window_size", "position"), CASES)
def test_of_lifting_self_attention(group, shape, window_size, position):
    query, key, _, encoding = operands(group, shape, window_size, lifting=True)
    options = {"group": group, "window_size": window_size, "scale": 0.7}
    out = functional.lifting_self_attention(query, key, one_hot(key), encoding, implementation="reference", **options)
    probabilities = functional.lifting_self_attention_probabilities(query, key, encoding, position=position, **options)
    assert probabilities.shape == (2, *shape, group.order, HEADS)
    assert_same(probabilities, paid(out[:, *position], key))


@pytest.mark.parametrize(("group", "shape", "window_size", "position"), CASES)
def test_of_group_self_attention_for_every_query_pose(group, shape, window_size, position):
    """A query whose poses are all alike is paid attention to `group.order` times by each."""
    query, key, _, *encodings = operands(group, shape, window_size, batch=1)
    options = {"group": group, "window_size": window_size}
    poses = jnp.moveaxis(query, -3, 0)[:, 0]  # in the place of the batch
    alike = jnp.broadcast_to(poses[..., None, :, :], (group.order, *query.shape[1:]))
    keys = jnp.broadcast_to(key, alike.shape)
    out = functional.group_self_attention(alike, keys, one_hot(keys), *encodings, implementation="reference", **options)
    expected = jnp.moveaxis(paid(out[:, *position], keys) / group.order, 0, -2)  # [*positions, b, h, a, heads]
    probabilities = functional.group_self_attention_probabilities(query, key, *encodings, position=position, **options)
    assert probabilities.shape == (1, *shape, *(group.order,) * 3, HEADS)
    assert_same(probabilities[0], jnp.moveaxis(expected, -4, -2))
    assert_same(probabilities.sum(axis=(*range(1, 1 + group.dim), -2)), jnp.ones((1, group.order, group.order, HEADS)))


def test_with_a_mask_and_a_pose_index_that_depends_on_the_query():
    group, shape = cyclic_group(4), (3, 4)
    index = np.random.default_rng(0).integers(0, 6, (4, 4, 4))
    query, key, _, *encodings = operands(group, shape, 5, pose_rows=6)
    options = dict(group=group, pose_index=index, window_size=5, window_mask=actions.round_window((5, 5)), scale=0.7)
    out = functional.group_self_attention(query, key, one_hot(key), *encodings, implementation="reference", **options)
    probabilities = functional.group_self_attention_probabilities(query, key, *encodings, position=(1, 3), **options)
    assert_same(jnp.moveaxis(probabilities.sum(axis=-3), -2, -3), paid(out[:, 1, 3], key))


def test_a_mask_that_leaves_nothing_gives_zeros():
    query, key, _, encoding = operands(cyclic_group(4), (3, 3), 3, lifting=True)
    options = {"group": cyclic_group(4), "window_size": 3, "window_mask": np.zeros(9, bool)}
    probabilities = functional.lifting_self_attention_probabilities(query, key, encoding, position=(1, 1), **options)
    np.testing.assert_array_equal(probabilities, 0.0)


def test_they_are_float32_where_the_arrays_are_narrower():
    arrays = operands(cyclic_group(4), (3, 3), 3, dtype="bfloat16")
    query, key, _, *encodings = arrays
    probabilities = functional.group_self_attention_probabilities(
        query, key, *encodings, position=(1, 1), group=cyclic_group(4), window_size=3
    )
    assert probabilities.dtype == jnp.float32
    np.testing.assert_allclose(probabilities.sum(axis=(1, 2, -2)), 1.0, rtol=1e-5)


@pytest.mark.parametrize("position", [(0,), (0, 3), (-1, 0), (0.5, 1)])
def test_a_position_beside_the_grid_is_refused(position):
    query, key, _, encoding = operands(cyclic_group(4), (3, 3), 3, lifting=True)
    with pytest.raises(ValueError, match="position: expected an index for each axis"):
        functional.lifting_self_attention_probabilities(
            query, key, encoding, position=position, group=cyclic_group(4), window_size=3
        )


def test_other_mistakes_are_those_of_the_operation():
    query, key, _, encoding = operands(cyclic_group(4), (3, 3), 3, lifting=True)
    with pytest.raises(ValueError, match="position_encoding: expected"):
        functional.lifting_self_attention_probabilities(
            query, key, encoding, position=(1, 1), group=cyclic_group(4), window_size=5
        )


def test_it_compiles_and_differentiates():
    query, key, _, encoding = operands(cyclic_group(4), (3, 3), 3, lifting=True)

    @jax.jit
    def entropy(query):
        probabilities = functional.lifting_self_attention_probabilities(
            query, key, encoding, position=(0, 0), group=cyclic_group(4), window_size=3
        )
        return -(probabilities * jnp.log(jnp.maximum(probabilities, 1e-9))).sum()

    gradient = jax.grad(entropy)(query)
    assert bool(jnp.isfinite(gradient).all())
    assert float(jnp.abs(gradient[:, 0, 0]).max()) > 1e-3
    assert float(jnp.abs(gradient[:, 1:]).max()) == 0.0

"""The actions: against loops, NumPy's own rotations, and the axioms of a left action."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gequi_jax.actions import (
    act_on_feature_map,
    act_on_grid,
    act_on_poses,
    grid_preserving_elements,
    relative_positions,
    round_window,
    transform_group_kernel,
    transform_kernel,
    window_offsets,
)
from gequi_jax.groups import FiniteGroup, cyclic_group, dihedral_group, trivial_group
from tests import families
from tests.reference import actions as reference

GROUPS = families.PLANAR + families.OTHER_DIMENSIONS


@pytest.mark.parametrize("size", [4, 5])
@pytest.mark.parametrize("group", GROUPS, ids=families.name)
def test_actions_agree_with_loops(group, size, key):
    shape = (size,) * group.dim
    image = np.asarray(jax.random.normal(key, (*shape, 2)))
    feature_map = np.asarray(jax.random.normal(key, (*shape, group.order, 2)))
    for element in grid_preserving_elements(group):
        moved = act_on_grid(element, jnp.asarray(image)[None], group=group)[0]
        np.testing.assert_array_equal(moved, reference.act_on_grid(group.matrices[element], image, shape))
        moved = act_on_feature_map(element, jnp.asarray(feature_map)[None], group=group)[0]
        np.testing.assert_array_equal(moved, reference.act_on_feature_map(group, element, feature_map))


@pytest.mark.parametrize("group", [dihedral_group(4), families.SHUFFLED_SQUARE], ids=families.name)
def test_poses_are_those_of_a_feature_map_without_positions(group, key):
    poses = np.asarray(jax.random.normal(key, (3, group.order, 2)))
    for element in range(group.order):
        moved = act_on_poses(element, poses, group=group, axis=1)
        for h in range(group.order):
            np.testing.assert_array_equal(moved[:, group.cayley_table[element, h]], poses[:, h])
        expected = act_on_feature_map(element, poses[:, None, None], group=group)[:, 0, 0]
        np.testing.assert_array_equal(moved, expected)
        np.testing.assert_array_equal(act_on_poses(element, jnp.asarray(poses), group=group, axis=-2), moved)
    with pytest.raises(ValueError, match="axis: expected an axis of size 8"):
        act_on_poses(1, poses, group=group, axis=0)
    with pytest.raises(ValueError, match="element: expected an index"):
        act_on_poses(8, poses, group=group, axis=1)


@pytest.mark.parametrize(
    ("group", "expected"),
    [
        (cyclic_group(4), [0, 1, 2, 3]),
        (cyclic_group(8), [0, 2, 4, 6]),
        (trivial_group(), [0]),
        (dihedral_group(2), [0, 1, 2, 3]),
        # Integers alone do not make a matrix map the square to itself: this one shears it.
        (FiniteGroup([np.eye(2), [[1, 1], [0, -1]]]), [0]),
    ],
    ids=["C_4", "C_8", "trivial", "D_2", "sheared"],
)
def test_elements_that_preserve_the_grid(group, expected):
    assert grid_preserving_elements(group) == expected


def test_element_one_of_c4_is_rot90_also_on_oblong_images(key):
    x = jax.random.normal(key, (2, 3, 5, 1))
    for k in range(4):
        np.testing.assert_array_equal(act_on_grid(k, x, group=cyclic_group(4)), np.rot90(x, k, axes=(1, 2)))


def test_the_flip_reverses_columns(key):
    x = jax.random.normal(key, (2, 4, 5, 1))
    np.testing.assert_array_equal(act_on_grid(4, x, group=dihedral_group(4)), x[:, :, ::-1])


@pytest.mark.parametrize(
    "group", [dihedral_group(4), families.SHUFFLED_SQUARE, *families.OTHER_DIMENSIONS], ids=families.name
)
def test_actions_are_left_actions(group, key):
    x = jax.random.normal(key, (1, *(4,) * group.dim, group.order, 2))
    for g in range(group.order):
        for h in range(group.order):
            both = act_on_feature_map(group.cayley_table[g, h], x, group=group)
            in_turn = act_on_feature_map(g, act_on_feature_map(h, x, group=group), group=group)
            np.testing.assert_array_equal(both, in_turn)


def test_interpolated_elements_turn_a_smooth_image():
    group = cyclic_group(8)
    rows, columns = np.meshgrid(*[np.arange(33) - 16.0] * 2, indexing="ij")

    def blob(row, column):
        return np.exp(-((rows - row) ** 2 + (columns - column) ** 2) / 18)[None, ..., None]

    # Counter-clockwise by 45 degrees: what was to the right of the centre goes up and to the right.
    moved = act_on_grid(1, jnp.asarray(blob(0, 8), jnp.float32), group=group)
    expected = blob(-8 / np.sqrt(2), 8 / np.sqrt(2))
    # Bilinear interpolation errs by at most (|f_rr| + |f_cc|) / 8, and the second derivatives of the blob are below 1/9.
    assert np.abs(moved - expected).max() < 2 / 9 / 8
    assert np.abs(moved - blob(8 / np.sqrt(2), 8 / np.sqrt(2))).max() > 0.5


def test_a_narrow_type_rounds_values_and_not_coordinates(key):
    """bfloat16 would round the coordinates of 40 pixels to an eighth of a pixel."""
    image = jax.random.uniform(key, (1, 40, 40, 1)).astype("bfloat16")
    turned = act_on_grid(1, image, group=cyclic_group(8))
    expected = act_on_grid(1, image.astype("float32"), group=cyclic_group(8))
    assert turned.dtype == image.dtype == "bfloat16"
    np.testing.assert_array_equal(np.asarray(turned), np.asarray(expected.astype("bfloat16")))


def test_actions_compile_differentiate_and_vmap(key):
    x = jax.random.normal(key, (2, 3, 3, 4, 2))
    group = cyclic_group(4)
    expected = act_on_feature_map(1, x, group=group)
    compiled = jax.jit(act_on_feature_map, static_argnums=0, static_argnames="group")(1, x, group=group)
    np.testing.assert_array_equal(compiled, expected)
    mapped = jax.vmap(lambda x: act_on_feature_map(1, x[None], group=group)[0])(x)
    np.testing.assert_array_equal(mapped, expected)
    # The action is orthogonal: the gradient of |L_g x|^2 / 2 is x.
    gradient = jax.grad(lambda x: jnp.sum(act_on_feature_map(1, x, group=group) ** 2) / 2)(x)
    np.testing.assert_allclose(gradient, x, rtol=1e-6)


@pytest.mark.parametrize("side", [3, 4])
@pytest.mark.parametrize("group", GROUPS, ids=families.name)
def test_kernels_transform_as_functions(group, side, key):
    shape = (side,) * group.dim
    kernel = jax.random.normal(key, (*shape, 2, 3))
    group_kernel = jax.random.normal(key, (*shape, group.order, 2, 3))
    copies = transform_kernel(kernel, group=group)
    group_copies = transform_group_kernel(group_kernel, group=group)
    for element in grid_preserving_elements(group):
        as_image = act_on_grid(element, kernel.reshape(1, *shape, 6), group=group).reshape(kernel.shape)
        np.testing.assert_allclose(copies[element], as_image, atol=1e-6)
        as_map = act_on_feature_map(element, group_kernel.reshape(1, *shape, group.order, 6), group=group)
        np.testing.assert_allclose(group_copies[element], as_map.reshape(group_kernel.shape), atol=1e-6)


def test_an_interpolated_kernel_reads_between_its_entries():
    kernel = jnp.arange(9.0).reshape(3, 3, 1, 1)
    turned = transform_kernel(kernel, group=cyclic_group(8))[1, ..., 0, 0]
    # At 45 degrees the entry right of the centre reads (sqrt 1/2, sqrt 1/2) below and right of it in the kernel.
    step = np.sqrt(0.5)
    np.testing.assert_allclose(turned[1, 2], 4 + 3 * step + step, rtol=1e-6)
    np.testing.assert_allclose(turned[1, 1], 4.0, rtol=1e-6)


def test_relative_positions_are_differences():
    offsets, index = relative_positions((2, 3))
    grid = np.array([(r, c) for r in range(2) for c in range(3)])
    np.testing.assert_array_equal(offsets[index], grid[None] - grid[:, None])


def test_windows():
    np.testing.assert_array_equal(window_offsets((3,))[:, 0], [-1, 0, 1])
    np.testing.assert_array_equal(window_offsets((2, 2)), [[-0.5, -0.5], [-0.5, 0.5], [0.5, -0.5], [0.5, 0.5]])
    assert round_window((5, 5)).reshape(5, 5)[0].tolist() == [False, True, True, True, False]
    assert round_window((1, 1)).all()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: act_on_grid(4, x, group=cyclic_group(4)), "index from 0 to 3"),
        (lambda x: act_on_grid(-1, x, group=cyclic_group(4)), "index from 0 to 3"),
        (lambda x: act_on_grid(0, x[0], group=cyclic_group(4)), r"\[batch, rows, columns, channels\]"),
        (lambda x: act_on_grid(1, x.astype("uint8"), group=cyclic_group(8)), "floating type.*got uint8"),
        (lambda x: act_on_feature_map(0, x, group=cyclic_group(4)), r"\[batch, rows, columns, group, channels\]"),
        (lambda x: act_on_feature_map(0, x[..., None], group=cyclic_group(4)), "group axis of size 4"),
        (lambda x: transform_kernel(x[0], group=cyclic_group(4)), "in_features, out_features"),
        (lambda x: transform_group_kernel(x[..., None], group=cyclic_group(4)), "group axis of size 4"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=message):
        call(jnp.ones((2, 5, 5, 3)))

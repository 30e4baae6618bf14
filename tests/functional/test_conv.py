"""Lifting and group convolution against loops written from their equations, and their errors."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gequi_jax import functional
from gequi_jax.actions import window_offsets
from gequi_jax.groups import cyclic_group, dihedral_group, mirror_group, trivial_group
from gequi_jax.testing import assert_equivariant
from tests import families
from tests.reference import conv as reference

EXACT = [group for group in families.PLANAR if group.name not in ("p8", "p8m")] + families.OTHER_DIMENSIONS


@pytest.mark.parametrize("side", [3, 5])
@pytest.mark.parametrize("group", EXACT, ids=families.name)
def test_convolutions_agree_with_loops(group, side):
    spatial = (4,) * group.dim if group.dim < 3 else (3,) * 3
    window = (side,) * group.dim if group.dim < 3 else (3,) * 3
    generator = np.random.default_rng(0)
    image, feature_map = (generator.normal(size=(*spatial, *poses, 2)).astype("f") for poses in ((), (group.order,)))
    kernel, group_kernel = (
        generator.normal(size=(*window, *poses, 2, 3)).astype("f") for poses in ((), (group.order,))
    )
    lifted = functional.lifting_conv(image[None], kernel, group=group)[0]
    np.testing.assert_allclose(lifted, reference.lifting_conv(group, image, kernel), atol=1e-4)
    convolved = functional.group_conv(feature_map[None], group_kernel, group=group)[0]
    np.testing.assert_allclose(convolved, reference.group_conv(group, feature_map, group_kernel), atol=1e-4)


@pytest.mark.parametrize(
    ("strides", "padding", "dilation", "size"), [(2, "SAME", 1, 7), (2, 1, 1, 7), (1, "VALID", 2, 9)]
)
def test_strides_padding_and_dilation_sample_the_plain_convolution(strides, padding, dilation, size, key):
    group = dihedral_group(4)
    x = jax.random.normal(key, (1, size, size, 2))
    kernel = jax.random.normal(key, (3, 3, 2, 3))
    wide = np.zeros((2 * dilation + 1,) * 2 + (2, 3), np.float32)
    wide[::dilation, ::dilation] = kernel
    plain = functional.lifting_conv(x, jnp.asarray(wide), group=group)
    got = functional.lifting_conv(x, kernel, group=group, strides=strides, padding=padding, kernel_dilation=dilation)
    border = dilation if padding == "VALID" else 0
    expected = plain[:, border : size - border : strides, border : size - border : strides]
    np.testing.assert_allclose(got, expected, atol=1e-5)


def test_the_trivial_group_gives_the_plain_convolution(key):
    x = jax.random.normal(key, (2, 5, 6, 3))
    kernel = jax.random.normal(key, (3, 3, 3, 4))
    plain = jax.lax.conv_general_dilated(x, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))
    np.testing.assert_allclose(functional.lifting_conv(x, kernel, group=trivial_group())[..., 0, :], plain, atol=1e-5)


def test_convolutions_compile_vmap_and_differentiate(key):
    group = cyclic_group(4)
    x = jax.random.normal(key, (2, 5, 5, 4, 2))
    kernel = jax.random.normal(key, (3, 3, 4, 2, 3))
    expected = functional.group_conv(x, kernel, group=group)
    compiled = jax.jit(functional.group_conv, static_argnames="group")(x, kernel, group=group)
    np.testing.assert_allclose(compiled, expected, atol=1e-5)
    one_by_one = jax.vmap(lambda x: functional.group_conv(x[None], kernel, group=group)[0])(x)
    np.testing.assert_allclose(one_by_one, expected, atol=1e-5)
    # Linear in the kernel, so the gradient of <y, x * kernel> pairs with any kernel as y does with its convolution.
    cotangent = jax.random.normal(jax.random.key(1), expected.shape)
    (gradient,) = jax.vjp(lambda k: functional.group_conv(x, k, group=group), kernel)[1](cotangent)
    other = jax.random.normal(jax.random.key(2), kernel.shape)
    paired = jnp.vdot(cotangent, functional.group_conv(x, other, group=group))
    np.testing.assert_allclose(jnp.vdot(gradient, other), paired, rtol=1e-3)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"strides": 2}, "sizes that work are 5 and 7"),
        ({"padding": "FULL"}, "'SAME', 'VALID' or a number"),
        ({"kernel": (4, 4, 2, 3)}, "odd window"),
        ({"kernel": (9, 9, 2, 3), "padding": "VALID"}, "does not fit an axis of 6"),
        ({"kernel": (3, 3, 5, 3)}, "reads 5 channels"),
        ({"kernel": (3, 2, 3)}, "2 window axes"),
        ({"x": (2, 6, 6, 4, 2)}, r"\[batch, rows, columns, channels\]"),
        ({"group": trivial_group(3)}, r"\[batch, depth, rows, columns, channels\]"),
    ],
)
def test_bad_input(options, message):
    x = jnp.ones(options.pop("x", (2, 6, 6, 2)))
    kernel = jnp.ones(options.pop("kernel", (3, 3, 2, 3)))
    with pytest.raises(ValueError, match=message):
        functional.lifting_conv(x, kernel, **{"group": cyclic_group(4), **options})


def test_kernels_may_differ_by_axis_where_the_group_keeps_the_axes_apart(key):
    x = jax.random.normal(key, (1, 5, 4, 2))
    kernel = jax.random.normal(key, (3, 1, 2, 3))
    assert_equivariant(lambda x: functional.lifting_conv(x, kernel, group=mirror_group()), x, group=mirror_group())
    with pytest.raises(ValueError, match=r"kernel: \(3, 1\) is not mapped to itself by element 1 of p4"):
        functional.lifting_conv(x, kernel, group=cyclic_group(4))
    allowed = functional.lifting_conv(x, kernel, group=cyclic_group(4), allow_inequivariant=True)
    assert allowed.shape == (1, 5, 4, 4, 3)


@pytest.mark.usefixtures("unchecked_arrays")
def test_a_missing_group_axis_is_named():
    with pytest.raises(ValueError, match="rows, columns, group, channels"):
        functional.group_conv(jnp.ones((2, 6, 6, 2)), jnp.ones((3, 3, 4, 2, 3)), group=cyclic_group(4))


def test_broken_strides_can_be_allowed_and_are_then_not_equivariant(key):
    x = jax.random.normal(key, (1, 6, 6, 1))
    kernel = jax.random.normal(key, (3, 3, 1, 1))
    options = {"group": cyclic_group(4), "strides": 2, "allow_inequivariant": True}
    y = functional.lifting_conv(x, kernel, **options)
    turned = functional.lifting_conv(jnp.rot90(x, 1, (1, 2)), kernel, **options)
    expected = jnp.roll(jnp.rot90(y, 1, (1, 2)), 1, axis=-2)
    assert jnp.linalg.norm(turned - expected) > 0.5 * jnp.linalg.norm(y)


def test_window_offsets_are_symmetric():
    for side in (1, 2, 3, 4):
        offsets = window_offsets((side, side))
        np.testing.assert_array_equal(offsets, -offsets[::-1])

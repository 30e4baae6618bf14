"""Transposed group convolution: a loop, the adjoint of the group convolution, sizes and errors."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gequi_jax import functional
from gequi_jax.actions import round_window
from gequi_jax.groups import cyclic_group, group_by_name, mirror_group
from tests import families
from tests.reference import conv as reference


def noise(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


@pytest.mark.parametrize(
    ("group", "side", "options"),
    [
        (families.SHUFFLED_SQUARE, 3, {"strides": 2, "padding": 1}),
        (families.SHUFFLED_SQUARE, 4, {"strides": 2, "padding": 1}),
        (families.HALF_TURN_1D, 2, {"strides": 3, "padding": 0}),
        (families.QUARTER_TURNS_3D, 3, {"strides": 2, "padding": 1}),
    ],
)
def test_it_agrees_with_a_loop(group, side, options):
    x = noise(*(2,) * group.dim, group.order, 2)
    kernel = noise(*(side,) * group.dim, group.order, 2, 3, seed=1)
    y = functional.group_conv_transpose(x[None], kernel, group=group, **options)[0]
    expected = reference.group_conv_transpose(group, x, kernel, y.shape[: group.dim], **options)
    np.testing.assert_allclose(y, expected, atol=1e-4)


ADJOINTS = {
    "plain": ("p4m", 3, 7, {}),
    "strided": ("p4m", 3, 7, {"strides": 2}),
    "even": ("p4", 4, 8, {"strides": 2, "padding": 1}),
    "valid": ("p4", 2, 6, {"strides": 2, "padding": "VALID"}),
    "dilated": ("z2m", 3, 9, {"strides": 2, "kernel_dilation": 2, "padding": "VALID"}),
    "padded_beyond_the_window": ("p4", 3, 5, {"padding": 3}),
    "interpolated_and_masked": ("p8", 5, 7, {"strides": 3, "window_mask": round_window}),
    "volume": ("octahedral", 3, 5, {"strides": 2}),
}


@pytest.mark.parametrize(("name", "side", "size", "options"), list(ADJOINTS.values()), ids=list(ADJOINTS))
def test_it_is_the_adjoint_of_the_strided_convolution(name, side, size, options):
    """<group_conv(f, k), g> = <f, group_conv_transpose(g, k')>, relative to the norms, to 1e-6."""
    group = group_by_name(name)
    f = noise(2, *(size,) * group.dim, group.order, 2)
    kernel = noise(*(side,) * group.dim, group.order, 2, 2, seed=1)
    convolved = jax.jit(lambda f: functional.group_conv(f, kernel, group=group, **options))(f)
    g = noise(*convolved.shape, seed=2)
    transpose = jax.jit(lambda g, k: functional.group_conv_transpose(g, k, group=group, **options))
    back = transpose(g, kernel.swapaxes(-1, -2))
    assert back.shape == f.shape
    scale = np.linalg.norm(convolved) * np.linalg.norm(g)
    left = np.vdot(np.asarray(convolved, np.float64), g)
    assert abs(left - np.vdot(f, np.asarray(back, np.float64))) < 1e-6 * scale
    # A negative control: the kernel whose features are not exchanged.
    assert abs(left - np.vdot(f, transpose(g, kernel))) > 1e-4 * scale


def test_it_compiles_vmaps_and_differentiates(key):
    group = cyclic_group(4)
    x, kernel = jax.random.normal(key, (2, 3, 3, 4, 2)), jax.random.normal(key, (3, 3, 4, 2, 3))
    transpose = jax.jit(lambda x, kernel: functional.group_conv_transpose(x, kernel, group=group, strides=2))
    expected = transpose(x, kernel)
    one_by_one = jax.vmap(lambda x: transpose(x[None], kernel)[0])(x)
    np.testing.assert_allclose(one_by_one, expected, atol=1e-5)
    # Linear in the kernel, so the gradient pairs with any kernel as the output does.
    y, pull = jax.vjp(lambda kernel: transpose(x, kernel), kernel)
    other = jax.random.normal(jax.random.key(2), kernel.shape)
    np.testing.assert_allclose(jnp.vdot(pull(y)[0], other), jnp.vdot(y, transpose(x, other)), rtol=1e-4)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kernel": (4, 4, 4, 2, 3)}, "odd window"),
        ({"kernel": (3, 3, 4, 5, 3)}, "reads 5 channels"),
        ({"padding": "FULL"}, "'SAME', 'VALID' or a number"),
        ({"padding": 5}, "padding: 5 leaves nothing of the output"),
        ({"kernel": (3, 1, 4, 2, 3)}, r"kernel: \(3, 1\) is not mapped to itself"),
        ({"x": (1, 3, 3, 2, 2), "kernel": (3, 3, 2, 2, 3)}, "a group axis of size 4"),
    ],
)
def test_bad_input(options, message):
    x = jnp.ones(options.pop("x", (1, 3, 3, 4, 2)))
    kernel = jnp.ones(options.pop("kernel", (3, 3, 4, 2, 3)))
    with pytest.raises(ValueError, match=message):
        functional.group_conv_transpose(x, kernel, group=cyclic_group(4), **options)


def test_kernels_may_differ_by_axis_where_the_group_keeps_the_axes_apart():
    y = functional.group_conv_transpose(
        noise(1, 3, 4, 2, 2), jnp.ones((3, 1, 2, 2, 3)), group=mirror_group(), strides=2, padding="VALID"
    )
    assert y.shape == (1, 7, 7, 2, 3)

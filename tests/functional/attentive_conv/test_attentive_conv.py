"""Attentive convolutions against loops; blocks against the direct form; operators of one's own and Theorem 1."""

from functools import lru_cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gequi_jax import functional, nn
from gequi_jax.testing import assert_attention_equivariant, attention_errors, equivariance_errors
from tests import families
from tests.reference import attentive_conv as reference

C4 = families.PLANAR[3]
FULL = nn.SeriesAttention((("channel", nn.ChannelAttention()), ("spatial", nn.SpatialAttention(kernel_size=3))))


@lru_cache
def params(attention, out_features, *, in_features=3, in_poses=4, dim=2):
    def one(key):
        return attention.init(key, in_features=in_features, in_poses=in_poses, dim=dim)

    weights = jax.vmap(one)(jax.random.split(jax.random.key(7), out_features))
    return jax.tree.map(lambda weight: 3 * weight, weights)


@pytest.mark.parametrize(
    ("group", "lifting"), [(families.SHUFFLED_SQUARE, False), (families.HALF_TURN_1D, False), (C4, True)]
)
def test_full_attention_is_the_loop(group, lifting):
    poses = 1 if lifting else group.order
    random = np.random.default_rng(0)
    x = random.normal(size=(*(4,) * group.dim, poses, 3))
    kernel = random.normal(size=(*(3,) * group.dim, poses, 3, 2))
    weights = params(FULL, 2, in_poses=poses, dim=group.dim)
    function = functional.attentive_lifting_conv if lifting else functional.attentive_group_conv
    got = jax.jit(partial(function, group=group, attention=FULL))(
        jnp.asarray(x[None, ..., 0, :] if lifting else x[None], jnp.float32),
        jnp.asarray(kernel[..., 0, :, :] if lifting else kernel, jnp.float32),
        weights,
    )
    for channel in range(2):
        w1, w2, spatial = (np.asarray(leaf[channel], np.float64) for leaf in in_order(weights))
        expected = reference.full_attention(group, x, kernel[..., channel], w1, w2, spatial)
        np.testing.assert_allclose(got[0, ..., channel], expected, atol=2e-5)


def in_order(weights):
    return [weights["channel"]["w1"], weights["channel"]["w2"], weights["spatial"]["kernel"]]


@pytest.mark.parametrize("block_size", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_blocks_are_the_direct_form_in_value_and_gradient(key, block_size):
    keys = jax.random.split(key, 3)
    x = jax.random.normal(keys[0], (2, 5, 5, 4, 3))
    kernel = jax.random.normal(keys[1], (3, 3, 4, 3, 5))
    target = jax.random.normal(keys[2], (2, 5, 5, 4, 5))

    def loss(x, kernel, weights, block_size):
        y = functional.attentive_group_conv(x, kernel, weights, group=C4, attention=FULL, block_size=block_size)
        return ((y - target) ** 2).sum(), y

    run = jax.jit(jax.value_and_grad(loss, argnums=(0, 1, 2), has_aux=True), static_argnums=3)
    (_, direct), expected = run(x, kernel, params(FULL, 5), 5)
    (_, blocked), got = run(x, kernel, params(FULL, 5), block_size)
    np.testing.assert_allclose(blocked, direct, atol=1e-5 * float(jnp.abs(direct).max()))
    for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5 * float(jnp.abs(b).max()))


def test_small_blocks_need_less_memory(key):
    x = jax.ShapeDtypeStruct((8, 16, 16, 4, 6), jnp.float32)
    kernel = jax.ShapeDtypeStruct((3, 3, 4, 6, 16), jnp.float32)
    weights = jax.eval_shape(lambda: params(FULL, 16, in_features=6))

    def temporaries(block_size):
        def loss(x, kernel, weights):
            y = functional.attentive_group_conv(x, kernel, weights, group=C4, attention=FULL, block_size=block_size)
            return (y**2).sum()

        compiled = jax.jit(jax.grad(loss, argnums=(0, 1, 2))).lower(x, kernel, weights).compile()
        return compiled.memory_analysis().temp_size_in_bytes

    ratio = temporaries(1) / temporaries(16)
    print(f"one output channel of 16 at a time: {ratio:.3f} of the memory of the direct form")
    assert ratio < 0.25


def test_maps_have_the_axes_of_their_signal(key):
    x = jax.random.normal(key, (2, 6, 6, 4, 3))
    kernel = jax.random.normal(key, (3, 3, 4, 3, 5))
    for block_size in (2, 5):
        run = partial(
            functional.attentive_group_conv, group=C4, attention=FULL, block_size=block_size, return_maps=True
        )
        y, (channel, spatial) = jax.jit(run)(x, kernel, params(FULL, 5))
        assert y.shape == (2, 6, 6, 4, 5)
        assert channel.shape == (2, 1, 1, 4, 4, 3, 5)
        assert spatial.shape == (2, 6, 6, 4, 4, 1, 5)
        assert all(((alpha >= 0) & (alpha <= 1)).all() for alpha in (channel, spatial))


def own_operator(signal, params, *, group):
    """Attends to responses that are large for their own pair of poses: moves as its signal does."""
    return jax.nn.sigmoid(params * jnp.abs(signal).mean(axis=-1, keepdims=True))


def pose_bound_operator(signal, params, *, group):
    """Prefers some output poses over others wherever the group turns the image: it violates Theorem 1."""
    preference = jnp.arange(group.order, dtype=signal.dtype).reshape(1, *(1,) * group.dim, -1, 1, 1)
    return jax.nn.sigmoid(params * preference * jnp.ones_like(signal[..., :1]))


@pytest.mark.parametrize("group", [C4, families.SHUFFLED_SQUARE], ids=families.name)
def test_theorem_1(key, group):
    """An operator of one's own that satisfies it makes an equivariant layer; one that does not is found, and does not."""
    x = jax.random.normal(key, (2, 5, 5, group.order, 3))
    kernel = jax.random.normal(key, (3, 3, group.order, 3, 2))

    @jax.jit
    def good(x):
        return functional.attentive_group_conv(
            x, kernel, jnp.array([2.0, -1.0]), group=group, attention=own_operator, return_maps=True
        )

    @jax.jit
    def bad(x):
        return functional.attentive_group_conv(
            x, kernel, jnp.array([2.0, -1.0]), group=group, attention=pose_bound_operator, return_maps=True
        )

    # Maps are [batch, *spatial, out_group, in_group, in_features, out_features].
    assert_attention_equivariant(lambda x: good(x)[1], x, group=group, pose_axes=(-4, -3), rtol=1e-5)
    assert equivariance_errors(lambda x: good(x)[0], x, group=group, input="feature_map").max() < 1e-5
    with pytest.raises(AssertionError, match="does not satisfy Theorem 1"):
        assert_attention_equivariant(lambda x: bad(x)[1], x, group=group, pose_axes=(-4, -3))
    assert equivariance_errors(lambda x: bad(x)[0], x, group=group, input="feature_map").max() > 1e-2


def test_theorem_1_needs_the_poses_to_move_too(key):
    """A map that moves in space but whose input poses stay is not enough: the check sees each pose axis."""
    x = jax.random.normal(key, (1, 4, 4, 4, 3))
    fixed = jnp.arange(4.0).reshape(1, 1, 1, 4, 1)
    errors = attention_errors(lambda x: jax.nn.sigmoid(x * fixed), x, group=C4, pose_axes=(-2,))
    assert errors[0] == 0.0
    assert errors[1:].min() > 1e-2


def test_what_does_not_fit_is_refused(key):
    x, kernel = jnp.ones((1, 5, 5, 4, 3)), jnp.ones((3, 3, 4, 3, 2))
    weights = params(FULL, 2)
    options = {"group": C4, "attention": FULL}
    with pytest.raises(ValueError, match=r"kernel: it reads 3 channels .* input has 2"):
        functional.attentive_group_conv(x[..., :2], kernel, weights, **options)
    with pytest.raises(ValueError, match="first axis of size 2"):
        functional.attentive_group_conv(x, kernel, params(FULL, 3), **options)
    with pytest.raises(ValueError, match="block_size: expected a positive integer"):
        functional.attentive_group_conv(x, kernel, weights, block_size=0, **options)
    with pytest.raises(ValueError, match="samples an axis of 6 asymmetrically"):
        functional.attentive_group_conv(jnp.ones((1, 6, 6, 4, 3)), kernel, weights, strides=2, **options)
    with pytest.raises(ValueError, match="maps with the axes of their signal"):
        functional.attentive_group_conv(
            x, kernel, jnp.ones(2), group=C4, attention=lambda signal, params, *, group: signal[..., 0]
        )


@pytest.mark.parametrize("strides", [1, 2])
def test_strides_and_masks_reach_the_responses(key, strides):
    """Without attention (a map of zeros) the attentive convolution is the plain one, with all its options."""
    x = jax.random.normal(key, (2, 7, 7, 4, 3))
    kernel = jax.random.normal(key, (3, 3, 4, 3, 2))
    options = {"group": C4, "strides": strides, "window_mask": np.array([0, 1, 0, 1, 1, 1, 0, 1, 0], bool)}
    got = functional.attentive_group_conv(
        x, kernel, jnp.ones(2), attention=lambda signal, params, *, group: jnp.zeros_like(signal), **options
    )
    np.testing.assert_allclose(got, functional.group_conv(x, kernel, **options), atol=1e-5)
    unmasked = functional.group_conv(x, kernel, group=C4, strides=strides)
    assert not np.allclose(got, unmasked, atol=1e-2)

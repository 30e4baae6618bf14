"""Attention maps against loops over their equations; the special cases of prior work; and what is refused."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import signal

from gequi_jax import functional, nn
from gequi_jax.groups import trivial_group
from tests import families
from tests.reference import attentive_conv as reference

GROUPS = [families.PLANAR[3], families.KLEIN, families.SHUFFLED_SQUARE, families.HALF_TURN_1D]


def arrays(seed, *shapes):
    random = np.random.default_rng(seed)
    return [random.normal(size=shape) for shape in shapes]


def single(*values):
    return [jnp.asarray(value, jnp.float32) for value in values]


@pytest.mark.parametrize("group", GROUPS, ids=families.name)
@pytest.mark.parametrize("lifting", [True, False])
def test_channel_attention_of_responses_is_the_loop(group, lifting):
    poses = 1 if lifting else group.order
    f, w1, w2 = arrays(0, (*(4,) * group.dim, group.order, poses, 3), (poses, 3, 2), (poses, 2, 3))
    got = functional.channel_attention(*single(f[None], w1, w2), group=group)
    np.testing.assert_allclose(
        np.squeeze(got, tuple(range(1 + group.dim))), reference.channel_attention(group, f, w1, w2), atol=1e-6
    )


@pytest.mark.parametrize("group", GROUPS, ids=families.name)
@pytest.mark.parametrize("lifting", [True, False])
def test_spatial_attention_of_responses_is_the_loop(group, lifting):
    poses = 1 if lifting else group.order
    f, kernel = arrays(1, (*(4,) * group.dim, group.order, poses, 3), (*(3,) * group.dim, poses, 2))
    got = functional.spatial_attention(*single(f[None], kernel), group=group)
    np.testing.assert_allclose(got[0, ..., 0], reference.spatial_attention(group, f, kernel), atol=1e-6)


@pytest.mark.parametrize("group", GROUPS, ids=families.name)
def test_input_channel_attention_is_two_group_convolutions_on_poses(group):
    x, w1, w2 = arrays(2, (2, *(4,) * group.dim, group.order, 3), (group.order, 3, 2), (group.order, 2, 3))
    scores = 0.0
    for statistic in (np.mean, np.max):
        pooled = statistic(x, axis=tuple(range(1, 1 + group.dim)))
        scores = scores + pose_convolution(group, np.maximum(pose_convolution(group, pooled, w1), 0), w2)
    got = functional.input_channel_attention(*single(x, w1, w2), group=group)
    np.testing.assert_allclose(np.squeeze(got, tuple(range(1, 1 + group.dim))), reference.sigmoid(scores), atol=1e-6)


def pose_convolution(group, f, w):
    """sum_m w(h^-1 m) f(m), as a loop."""
    out = np.zeros((f.shape[0], group.order, w.shape[-1]))
    for h in range(group.order):
        for m in range(group.order):
            out[:, h] += f[:, m] @ w[reference.seen_pose(group, h, m, group.order)]
    return out


def test_input_pose_attention_acts_on_poses_alone(key):
    group = families.PLANAR[3]
    (x, kernel) = arrays(3, (2, 3, 3, 4, 5), (4, 5))
    got = functional.input_pose_attention(*single(x, kernel), group=group)
    for row in range(3):
        for column in range(3):
            expected = reference.sigmoid(pose_convolution(group, x[:, row, column], kernel[..., None]))
            np.testing.assert_allclose(got[:, row, column], expected, atol=1e-6)


def test_squeeze_and_excitation_is_the_mean_with_the_trivial_group():
    x, w1, w2 = arrays(4, (2, 6, 5, 1, 8), (1, 8, 4), (1, 4, 8))
    squeezed = x[..., 0, :].mean((1, 2))
    excited = reference.sigmoid(np.maximum(squeezed @ w1[0], 0) @ w2[0])
    expected = x[..., 0, :] * excited[:, None, None]
    identity = np.eye(8)[None, None, None]
    got = functional.attentive_group_conv(
        *single(x, identity),
        dict(zip(("w1", "w2"), single(w1, w2), strict=True)),
        group=trivial_group(),
        attention=nn.InputChannelAttention(statistics=("mean",)),
        residual=False,
    )
    np.testing.assert_allclose(got[..., 0, :], expected, atol=1e-6)


def test_cbam_is_the_series_of_both_with_the_trivial_group():
    x, w1, w2, kernel = arrays(5, (2, 8, 7, 1, 6), (1, 6, 3), (1, 3, 6), (7, 7, 1, 2))
    image = x[..., 0, :]
    hidden = [np.maximum(statistic @ w1[0], 0) @ w2[0] for statistic in (image.mean((1, 2)), image.max((1, 2)))]
    refined = image * reference.sigmoid(sum(hidden))[:, None, None]
    pooled = np.stack([refined.mean(-1), refined.max(-1)], -1)
    scores = np.stack(
        [sum(signal.correlate2d(one[..., s], kernel[:, :, 0, s], mode="same") for s in range(2)) for one in pooled]
    )
    expected = refined * reference.sigmoid(scores)[..., None]
    attention = nn.SeriesAttention((("channel", nn.InputChannelAttention()), ("spatial", nn.InputSpatialAttention())))
    w1, w2, kernel = single(w1, w2, kernel)
    got = functional.attentive_group_conv(
        *single(x, np.eye(6)[None, None, None]),
        {"channel": {"w1": w1, "w2": w2}, "spatial": {"kernel": kernel}},
        group=trivial_group(),
        attention=attention,
        residual=False,
    )
    np.testing.assert_allclose(got[..., 0, :], expected, atol=2e-6)


def test_the_residual_branch_suppresses_what_it_attends_to():
    """1 - sigmoid(z) is sigmoid(-z): the residual form with the last layer negated is the direct one."""
    x, w1, w2 = single(*arrays(6, (2, 5, 5, 4, 3), (4, 3, 2), (4, 2, 3)))
    options = {"group": families.PLANAR[3], "attention": nn.InputChannelAttention()}
    kernel = jnp.ones((1, 1, 4, 3, 2))
    residual = functional.attentive_group_conv(x, kernel, {"w1": w1, "w2": -w2}, **options)
    direct = functional.attentive_group_conv(x, kernel, {"w1": w1, "w2": w2}, residual=False, **options)
    np.testing.assert_allclose(residual, direct, atol=1e-5)


def test_what_does_not_fit_is_refused():
    group = families.PLANAR[3]
    x = jnp.ones((1, 5, 5, 4, 3))
    with pytest.raises(ValueError, match=r"w1, w2: expected .* at least one hidden unit"):
        functional.input_channel_attention(x, jnp.ones((4, 3, 0)), jnp.ones((4, 0, 3)), group=group)
    with pytest.raises(ValueError, match=r"odd sides, .* got window \(4, 4\)"):
        functional.input_spatial_attention(x, jnp.ones((4, 4, 4, 2)), group=group)
    with pytest.raises(ValueError, match=r"kernel: expected \[\*window, in_poses, statistics\]"):
        functional.input_spatial_attention(x, jnp.ones((3, 3, 2, 2)), group=group)
    with pytest.raises(ValueError, match="statistics: expected some of"):
        functional.input_channel_attention(
            x, jnp.ones((4, 3, 1)), jnp.ones((4, 1, 3)), group=group, statistics=("median",)
        )
    with pytest.raises(ValueError, match="reduction_ratio: 4 leaves no hidden unit of 3 in_features"):
        nn.ChannelAttention(reduction_ratio=4).init(jax.random.key(0), in_features=3, in_poses=4, dim=2)
    with pytest.raises(ValueError, match="side of its filter must be odd"):
        nn.SpatialAttention(kernel_size=4).init(jax.random.key(0), in_features=3, in_poses=4, dim=2)
    with pytest.raises(ValueError, match="all to the input"):
        nn.SeriesAttention((("a", nn.ChannelAttention()), ("b", nn.InputPoseAttention())))

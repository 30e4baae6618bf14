"""Attentive layers: equivariance for every element, in both modes; options; what is refused."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from gequi_jax import nn
from gequi_jax.actions import round_window
from gequi_jax.groups import cyclic_group, dihedral_group
from gequi_jax.nn import AttentiveGroupConv, AttentiveLiftingConv, GroupConv, LiftingConv
from gequi_jax.testing import assert_attention_equivariant, assert_equivariant, equivariance_errors
from tests import families

C4, D4 = families.PLANAR[3], families.PLANAR[5]
GROUPS = [C4, D4, families.KLEIN, families.SHUFFLED_SQUARE]
ATTENTIONS = ["full", "channel", "spatial", "input", "rh"]


def build(lifting, group, attention, **options):
    """A layer with its weights scaled three times, and a jitted call of it."""
    constructor = AttentiveLiftingConv if lifting else AttentiveGroupConv
    options = {"attention_kernel_size": 3, **options}
    layer = constructor(3, 2, 3, group=group, attention=attention, rngs=nnx.Rngs(0), **options)
    nnx.update(layer, jax.tree.map(lambda weight: 3 * weight, nnx.state(layer, nnx.Param)))
    graph, state = nnx.split(layer)
    call = jax.jit(lambda state, x: nnx.merge(graph, state)(x))
    maps = jax.jit(lambda state, x: nnx.merge(graph, state).attention_maps(x))
    return layer, lambda x: call(state, x), lambda x: maps(state, x)


def images(lifting, group, side=5):
    poses = () if lifting else (group.order,)
    return jax.random.normal(jax.random.key(1), (2, *(side,) * group.dim, *poses, 3))


@pytest.mark.parametrize(
    "group",
    [pytest.param(group, marks=() if group is families.SHUFFLED_SQUARE else pytest.mark.slow) for group in GROUPS],
    ids=families.name,
)
@pytest.mark.parametrize("attention", ATTENTIONS)
@pytest.mark.parametrize("lifting", [pytest.param(True, marks=pytest.mark.slow), False], ids=["lifting", "group"])
def test_layers_and_their_maps_are_equivariant(lifting, attention, group):
    """For every element, full attention with mirroring included, and Theorem 1 for the maps themselves."""
    _, call, maps = build(lifting, group, attention)
    x = images(lifting, group)
    kind = "grid" if lifting else "feature_map"
    assert_equivariant(call, x, group=group, input=kind, rtol=1e-5)
    # Poses of responses are [..., out_group, in_poses, in_features, out_features], of an input [..., in_poses, features].
    pose_axes = (-4, -3) if attention in ("full", "channel", "spatial") else (-2,)
    assert_attention_equivariant(maps, x, group=group, input=kind, pose_axes=pose_axes, rtol=1e-5)


@pytest.mark.parametrize("attention", ["full", "input"])
def test_a_layer_behind_a_ramp_is_not(attention):
    """The negative control."""
    _, call, _ = build(False, C4, attention)
    x = images(False, C4)
    ramp = jnp.arange(1.0, 6.0).reshape(1, 5, 1, 1, 1)
    errors = equivariance_errors(lambda x: call(x * ramp), x, group=C4, input="feature_map", elements=(1, 2, 3))
    assert errors.min() > 1e-2


def test_a_cyclic_roll_of_the_matrices_is_not_the_action_of_d4():
    """What the published code does for every group: exact for rotations, not with mirroring."""

    def roll(group):
        elements = np.arange(group.order)
        return (elements[None, :] - elements[:, None]) % group.order

    attention = nn.ChannelAttention(pose_action=roll)
    for group, broken in ((C4, False), (D4, True)):
        _, call, _ = build(False, group, attention)
        errors = equivariance_errors(call, images(False, group), group=group, input="feature_map")
        print(f"channel attention by cyclic rolls, {group.name}: {errors.max():.1e}")
        assert (errors.max() > 1e-4) == broken


def test_a_stride_that_leaves_an_odd_residue_breaks_a_layer():
    for side, broken in ((9, False), (8, True)):
        layer = GroupConv(3, 2, 3, group=C4, strides=2, allow_inequivariant=True, rngs=nnx.Rngs(0))
        errors = equivariance_errors(
            jax.jit(lambda x, layer=layer: layer(x)), images(False, C4, side), group=C4, input="feature_map"
        )
        print(f"stride 2 on a side of {side}: {errors.max():.1e}")
        assert (errors.max() > 0.1) == broken


@pytest.mark.parametrize("group", [cyclic_group(8), dihedral_group(8)], ids=families.name)
@pytest.mark.parametrize("attention", ["full", "input"])
def test_finer_groups_are_exact_where_they_preserve_the_grid(group, attention):
    _, call, _ = build(False, group, attention, window_mask=round_window)
    assert_equivariant(call, images(False, group, side=4), group=group, input="feature_map", rtol=1e-5)


@pytest.mark.parametrize("constructor", [LiftingConv, GroupConv])
def test_a_round_mask_keeps_the_corners_out(constructor):
    """With it, a 45 degree turn of an interpolated kernel loses less: nothing rotates in from outside the window."""
    group = cyclic_group(8)
    layer = constructor(
        1, 1, 3, group=group, padding="VALID", window_mask=round_window, use_bias=False, rngs=nnx.Rngs(0)
    )
    poses = () if constructor is LiftingConv else (8,)
    corner = jnp.zeros((1, 3, 3, *poses, 1)).at[:, 0, 0].set(1.0)
    edge = jnp.zeros((1, 3, 3, *poses, 1)).at[:, 0, 1].set(1.0)
    assert not round_window((3, 3))[0]
    assert float(jnp.abs(layer(corner)).max()) == 0.0
    assert float(jnp.abs(layer(edge)).min()) > 0.0


def test_gradients_reach_every_parameter():
    layer, _, _ = build(False, C4, "full", block_size=1)
    gradients = nnx.grad(lambda layer: (layer(images(False, C4)) ** 2).sum())(layer)
    assert all(float(jnp.abs(leaf).max()) > 0 for leaf in jax.tree.leaves(gradients))


def test_parameters_are_counted_as_published():
    """`N_out 2 (N_in N_in // r) |H|` for channel attention of responses, `N_out 2 k^2 |H|` for spatial attention."""

    def count(**options):
        layer = nnx.eval_shape(
            lambda: AttentiveGroupConv(6, 5, 3, group=C4, use_bias=False, rngs=nnx.Rngs(0), **options)
        )
        return sum(leaf.size for leaf in jax.tree.leaves(nnx.state(layer, nnx.Param)))

    plain = 5 * 6 * 4 * 9
    assert count(attention="channel", reduction_ratio=3) == plain + 5 * 2 * 6 * 2 * 4
    assert count(attention="spatial") == plain + 5 * 2 * 49 * 4
    assert count(attention="input", hidden_features=1, attention_kernel_size=5) == plain + 2 * 6 * 4 + 2 * 25 * 4
    assert count(attention="rh") == plain + 6 * 4


def test_types_follow_the_arguments():
    layer = AttentiveGroupConv(
        3, 2, 3, group=C4, attention="input", dtype=jnp.bfloat16, attention_kernel_size=3, rngs=nnx.Rngs(0)
    )
    assert layer(images(False, C4)).dtype == jnp.bfloat16


@pytest.mark.parametrize("constructor", [AttentiveLiftingConv, AttentiveGroupConv])
def test_what_cannot_work_is_refused(constructor):
    def build(in_features=3, **options):
        return constructor(in_features, 2, 3, group=C4, rngs=nnx.Rngs(0), **options)

    with pytest.raises(ValueError, match=r"reduction_ratio: 4 leaves no hidden unit of 3 in_features; .* from 1 to 3"):
        build(attention="channel", reduction_ratio=4)
    with pytest.raises(ValueError, match="hidden_features: expected a positive integer"):
        build(hidden_features=0)
    with pytest.raises(ValueError, match=r"attention: expected one of 'full', .*got 'both'"):
        build(attention="both")
    with pytest.raises(ValueError, match="which has no attends_to and no init"):
        build(attention=lambda signal, params, *, group: signal)
    with pytest.raises(ValueError, match="can be hashed"):
        build(attention=nn.SeriesAttention([("rh", nn.InputPoseAttention())]))
    with pytest.raises(ValueError, match="block_size: expected a positive integer"):
        build(block_size=0)
    with pytest.raises(ValueError, match="side of its filter must be odd"):
        build(attention_kernel_size=4)
    layer = build(attention="rh", strides=2)
    with pytest.raises(ValueError, match=r"samples an axis of 6 asymmetrically.*5 and 7.*stride 1 and pool"):
        layer(images(constructor is AttentiveLiftingConv, C4, side=6))
    with pytest.raises(ValueError, match="expected 3 input channels"):
        layer(images(constructor is AttentiveLiftingConv, C4)[..., :2])
    allowed = build(attention="rh", strides=2, allow_inequivariant=True)
    assert allowed(images(constructor is AttentiveLiftingConv, C4, side=6)).shape[1:3] == (3, 3)

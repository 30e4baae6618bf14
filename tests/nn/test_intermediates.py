"""Attention as intermediates: what `nnx.capture` finds, that it moves with the image, and that nothing else pays for it."""

import jax
import numpy as np
import pytest
from flax import nnx

from gequi_jax.actions import act_on_grid, act_on_poses, grid_preserving_elements
from gequi_jax.groups import cyclic_group, dihedral_group
from gequi_jax.nn import AttentiveGroupConv, AttentiveLiftingConv, GroupSelfAttention, LiftingSelfAttention
from gequi_jax.testing import assert_attention_equivariant
from tests import families

GROUPS = [cyclic_group(4), dihedral_group(4)]


class Network(nnx.Module):
    """Two attentive layers in a list, as the models have them."""

    def __init__(self, *constructors, group):
        rngs = nnx.Rngs(0)
        widths = (1, 4, 4)
        self.layers = nnx.List(
            constructor(*sizes, group=group, rngs=rngs)
            for constructor, *sizes in zip(constructors, widths, widths[1:], strict=False)
        )
        nnx.update(self, jax.tree.map(lambda weight: 3 * weight, nnx.state(self, nnx.Param)))

    def __call__(self, x):
        for layer in self.layers:
            x = nnx.tanh(layer(x))
        return x


def convolutions(group, attention):
    def lifting(*sizes, **options):
        return AttentiveLiftingConv(*sizes, 3, attention=attention, attention_kernel_size=3, **options)

    def conv(*sizes, **options):
        return AttentiveGroupConv(*sizes, 3, attention=attention, attention_kernel_size=3, **options)

    return Network(lifting, conv, group=group)


def self_attention(group):
    def lifting(*sizes, **options):
        return LiftingSelfAttention(*sizes, num_heads=1, qkv_features=3, window_size=3, **options)

    def attention(*sizes, **options):
        return GroupSelfAttention(*sizes, num_heads=1, qkv_features=3, window_size=3, **options)

    return Network(lifting, attention, group=group)


def images(side=5):
    return jax.random.normal(jax.random.key(1), (2, side, side, 1))


def captured(model, x):
    """What each layer sowed, of its only call."""
    _, found = nnx.capture(model, nnx.Intermediate)(x)
    return [found["layers"][index]["attention"].get_value() for index in range(2)]


@pytest.mark.parametrize("group", GROUPS, ids=families.name)
@pytest.mark.parametrize("attention", [pytest.param("full", marks=pytest.mark.slow), "input"])
def test_the_map_of_the_turned_image_is_the_turned_map(attention, group):
    graph, state = nnx.split(convolutions(group, attention))

    @jax.jit
    def maps(x):
        found = captured(nnx.merge(graph, state), x)
        return [one_map for (call,) in found for one_map in call]

    pose_axes = (-4, -3) if attention == "full" else (-2,)
    assert len(maps(images())) == 4
    assert_attention_equivariant(maps, images(), group=group, input="grid", pose_axes=pose_axes, rtol=1e-5)


def test_maps_are_those_of_the_layers():
    model = convolutions(GROUPS[0], "input")
    x = images()
    (lifting,), (group,) = captured(model, x)
    for found, expected in zip(lifting, model.layers[0].attention_maps(x), strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-6)
    hidden = nnx.tanh(model.layers[0](x))
    for found, expected in zip(group, model.layers[1].attention_maps(hidden), strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.mark.slow
def test_probabilities_of_the_turned_query_are_turned():
    """p(j, b; h, a) of a query i becomes p(g^-1 j, g^-1 b; g^-1 h, g^-1 a) of g i."""
    group = GROUPS[1]
    graph, state = nnx.split(self_attention(group))
    x, position, side = np.asarray(images()), np.array([1, 4]), 5

    def probabilities(x, position):
        model = nnx.merge(graph, state)
        model.set_attributes(query_position=tuple(position.tolist()))
        return [sown for (sown,) in captured(model, x)]

    before = [np.asarray(found) for found in probabilities(x, position)]
    assert [found.shape for found in before] == [
        (2, 5, 5, group.order, 1),
        (2, 5, 5, *(group.order,) * 3, 1),
    ]
    centre = (side - 1) / 2
    for element in grid_preserving_elements(group):
        moved = np.rint(group.matrices[element] @ (position - centre) + centre).astype(int)
        after = probabilities(act_on_grid(element, x, group=group), moved)
        for got, expected in zip(after, before, strict=True):
            for axis in range(3, got.ndim - 1):
                expected = act_on_poses(element, expected, group=group, axis=axis)
            expected = act_on_grid(element, expected.reshape(2, side, side, -1), group=group).reshape(got.shape)
            np.testing.assert_allclose(got, expected, atol=1e-5)
            assert np.ptp(got) > 0.01


def test_probabilities_are_those_of_the_method():
    model = self_attention(GROUPS[0])
    x = images()
    model.set_attributes(query_position=(0, 2))
    (lifting,), (group,) = captured(model, x)
    np.testing.assert_allclose(lifting, model.layers[0].attention_probabilities(x, (0, 2)), atol=1e-6)
    hidden = nnx.tanh(model.layers[0](x))
    np.testing.assert_allclose(group, model.layers[1].attention_probabilities(hidden, (0, 2)), atol=1e-6)
    np.testing.assert_allclose(group.sum(axis=(1, 2, 5)), 1.0, rtol=1e-5)


@pytest.mark.parametrize("build", [lambda: convolutions(GROUPS[0], "input"), lambda: self_attention(GROUPS[0])])
def test_nothing_is_computed_or_kept_unless_asked_for(build):
    model = build()

    def operations(call):
        graph, state = nnx.split(model)
        return len(jax.make_jaxpr(lambda x: call(nnx.merge(graph, state), x))(images()).eqns)

    plain = operations(lambda model, x: model(x))
    if isinstance(model.layers[0], LiftingSelfAttention):
        model.set_attributes(query_position=(1, 1))
        assert operations(lambda model, x: jax.tree.leaves(captured(model, x))) > plain
    assert operations(lambda model, x: model(x)) == plain
    # A capture of something else: perturbations.
    assert operations(lambda model, x: nnx.capture(model, nnx.Perturbation)(x)[0]) == plain
    model(images())
    assert not jax.tree.leaves(nnx.state(model, nnx.Intermediate))


def test_without_a_query_nothing_is_sown():
    _, found = nnx.capture(self_attention(GROUPS[0]), nnx.Intermediate)(images())
    assert not jax.tree.leaves(found)

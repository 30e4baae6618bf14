"""Kernels and windows: sides that differ by axis, masks as arrays and as functions, integers of any type."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from gequi_jax.actions import round_window
from gequi_jax.groups import cyclic_group, mirror_group
from gequi_jax.nn import AttentiveGroupConv, GroupConv, GroupSelfAttention, LiftingConv, LiftingSelfAttention
from gequi_jax.testing import assert_equivariant, equivariance_errors
from tests import families, shrunk


def build(layer, group, size, **options):
    """A layer with two input and three output channels, and a kernel or a window of the given size."""
    if layer in (LiftingSelfAttention, GroupSelfAttention):
        return layer(2, 3, group=group, num_heads=1, window_size=size, rngs=nnx.Rngs(0), **options)
    return layer(2, 3, size, group=group, rngs=nnx.Rngs(0), **options)


LAYERS = [LiftingConv, GroupConv, AttentiveGroupConv, LiftingSelfAttention, GroupSelfAttention]


def images(layer, group, shape):
    poses = () if layer in (LiftingConv, LiftingSelfAttention) else (group.order,)
    return jax.random.normal(jax.random.key(1), (1, *shape, *poses, 2))


@pytest.mark.parametrize("layer", shrunk.slow_unless((LiftingConv, GroupConv, GroupSelfAttention), LAYERS))
@pytest.mark.parametrize("size", shrunk.slow_unless([(3, 1)], [(3, 1), (1, 5)]))
def test_sides_may_differ_where_the_group_keeps_the_axes_apart(layer, size):
    group = mirror_group()
    module = build(layer, group, size)
    x = images(layer, group, (4, 6))
    lifting = layer in (LiftingConv, LiftingSelfAttention)
    assert_equivariant(nnx.jit(module), x, group=group, input="grid" if lifting else "feature_map", rtol=1e-5)
    # An entry reaches as far as the window along each axis.
    impulse = jnp.zeros((1, 7, 7, *x.shape[3:])).at[:, 3, 3].set(1.0)
    reached = np.argwhere(np.abs(module(impulse) - module(0 * impulse)).max(axis=(0, 3, 4)) > 1e-6)
    assert tuple(np.ptp(reached, axis=0) + 1) == size


@pytest.mark.parametrize("layer", LAYERS)
def test_sides_may_not_differ_where_the_group_exchanges_the_axes(layer):
    with pytest.raises(
        ValueError, match=r"_size: \(3, 1\) is not mapped to itself by element 1 of p4.*such as \(3, 3\)"
    ):
        build(layer, cyclic_group(4), (3, 1))
    with pytest.raises(ValueError, match=r"_size: expected one side, or 2 sides.*got \(3, 1, 1\)"):
        build(layer, cyclic_group(4), (3, 1, 1))


def test_a_kernel_may_be_flat_along_the_axis_of_rotation():
    group = families.QUARTER_TURNS_3D
    module = build(GroupConv, group, (3, 3, 1))
    x = jax.random.normal(jax.random.key(1), (1, 4, 4, 2, group.order, 2))
    errors = equivariance_errors(nnx.jit(module), x, group=group, input="feature_map")
    assert errors.max() < 1e-5


@pytest.mark.parametrize("layer", [GroupConv, GroupSelfAttention])
def test_a_mask_is_an_array_or_a_function(layer):
    group = cyclic_group(4)
    x = images(layer, group, (5, 5))
    masks = [round_window, round_window((5, 5)), round_window((5, 5)).reshape(5, 5)]
    outputs = [np.asarray(build(layer, group, 5, window_mask=mask)(x)) for mask in masks]
    np.testing.assert_array_equal(outputs[0], outputs[1])
    np.testing.assert_array_equal(outputs[0], outputs[2])
    assert np.abs(outputs[0] - build(layer, group, 5)(x)).max() > 1e-3
    with pytest.raises(ValueError, match="window_mask: expected 25 entries"):
        build(layer, group, 5, window_mask=np.ones((3, 3), bool))(x)


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("integer", shrunk.slow_unless([np.int64], [np.int64, np.int32, np.uint8]))
def test_sizes_may_be_any_integer_type(layer, integer):
    group = cyclic_group(4)
    attends = layer in (LiftingSelfAttention, GroupSelfAttention)
    options = {"num_heads": integer(1), "window_size": integer(3)} if attends else {"kernel_size": integer(3)}
    module = layer(integer(2), integer(3), group=group, rngs=nnx.Rngs(0), **options)
    assert type(module.in_features) is int
    assert module(images(layer, group, (4, 4))).shape[-1] == 3


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("wrong", [True, 3.0, "3", 0, -1, None])
def test_what_is_no_positive_integer_is_refused(layer, wrong):
    options = {"num_heads": 1} if layer in (LiftingSelfAttention, GroupSelfAttention) else {"kernel_size": 3}
    with pytest.raises(ValueError, match=f"out_features: expected a positive integer; got {wrong!r}"):
        layer(2, wrong, group=cyclic_group(4), rngs=nnx.Rngs(0), **options)

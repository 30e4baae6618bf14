"""Streamed attention to responses against the form that serves every operator, value and gradients."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gequi_jax import functional, groups, nn
from gequi_jax.functional.attentive_conv import _streamed
from tests import shrunk

CHANNEL = nn.ChannelAttention()
SPATIAL = nn.SpatialAttention(kernel_size=3)
FULL = nn.SeriesAttention((("channel", CHANNEL), ("spatial", SPATIAL)))
DILATED = nn.SeriesAttention((("channel", CHANNEL), ("spatial", nn.SpatialAttention(kernel_size=3, kernel_dilation=2))))
SIGNAL = groups.FiniteGroup([[[1.0]], [[-1.0]]], name="mirror of a line")
CUBE = groups.FiniteGroup.generate([np.diag([-1.0, -1.0, 1.0]), np.diag([1.0, -1.0, -1.0])], name="half turns")

CASES = {
    "full p4": (groups.cyclic_group(4), FULL, {}),
    "full p4m": (groups.dihedral_group(4), FULL, {}),
    "full, lifting": (groups.cyclic_group(4), FULL, {"lifting": True}),
    "channel": (groups.cyclic_group(4), CHANNEL, {}),
    "spatial": (groups.cyclic_group(4), SPATIAL, {}),
    "multiplied by alpha": (groups.cyclic_group(4), FULL, {"residual": False}),
    "strides and dilations": (groups.cyclic_group(4), DILATED, {"strides": 2, "kernel_dilation": 2, "padding": 1}),
    "a line": (SIGNAL, FULL, {}),
    "a volume": (CUBE, FULL, {"padding": "VALID"}),
}


def problem(group, attention, *, lifting=False, **options):
    """A function of (x, kernel, params), and its arguments."""
    side = {1: 9, 2: 7, 3: 4}[group.dim]
    random = np.random.default_rng(0)
    poses = () if lifting else (group.order,)
    x = random.normal(size=(2, *(side,) * group.dim, *poses, 3))
    kernel = random.normal(size=(*(3,) * group.dim, *poses, 3, 4))
    sizes = {"in_features": 3, "in_poses": 1 if lifting else group.order, "dim": group.dim}
    params = jax.vmap(lambda key: attention.init(key, **sizes))(jax.random.split(jax.random.key(0), 4))
    function = functional.attentive_lifting_conv if lifting else functional.attentive_group_conv
    arguments = (jnp.asarray(x, "float32"), jnp.asarray(kernel, "float32"), jax.tree.map(lambda leaf: 3 * leaf, params))
    return functools.partial(function, group=group, attention=attention, **options), arguments


def value_and_gradients(function, arguments):
    def loss(arguments):
        y = function(*arguments)
        return (jnp.cos(y) * y).sum(), y

    return jax.jit(jax.value_and_grad(loss, has_aux=True))(arguments)


@pytest.mark.parametrize("name", shrunk.slow_unless(("full, lifting", "strides and dilations"), CASES))
def test_it_equals_the_general_form(name):
    group, attention, options = CASES[name]
    function, arguments = problem(group, attention, **options)
    expected = value_and_gradients(functools.partial(function, block_size=1), arguments)
    errors = jax.tree.map(
        lambda a, b: float(jnp.abs(a - b).max() / jnp.abs(b).max()), value_and_gradients(function, arguments), expected
    )
    assert max(jax.tree.leaves(errors)) < 2e-5


def test_blocks_of_output_channels_do_not_change_the_result(monkeypatch):
    function, arguments = problem(groups.cyclic_group(4), FULL)
    expected = function(*arguments)
    monkeypatch.setattr(_streamed, "_BLOCK_BYTES", 1)
    np.testing.assert_allclose(function(*arguments), expected, rtol=1e-5, atol=1e-6)


def test_other_statistics_are_not_streamed():
    params = CHANNEL.init(jax.random.key(0), in_features=3, in_poses=4, dim=2)
    assert CHANNEL.response_attention(params) is not None
    assert nn.ChannelAttention(statistics=("mean",)).response_attention(params) is None
    assert nn.ChannelAttention(pose_action=lambda group: group.cayley_table).response_attention(params) is None
    swapped = nn.SeriesAttention((("spatial", SPATIAL), ("channel", CHANNEL)))
    assert swapped.response_attention({"channel": params, "spatial": {"kernel": jnp.ones((3, 3, 4, 2))}}) is None


def test_tied_maxima_share_the_gradient():
    """Constant inputs make every response a maximum; the gradient must stay equivariant, hence equal for all."""
    group = groups.cyclic_group(4)
    function, (x, kernel, params) = problem(group, FULL, padding="VALID")
    gradient = jax.grad(lambda x: function(x, kernel, params).sum())(jnp.ones_like(x))
    expected = jax.grad(lambda x: function(x, kernel, params, block_size=1).sum())(jnp.ones_like(x))
    np.testing.assert_allclose(gradient, expected, rtol=1e-4, atol=1e-5)

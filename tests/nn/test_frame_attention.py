"""The layer of attention by frames: sizes, dropout and errors. Equivariance is a row of the table."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from gequi_jax.export import to_plain
from gequi_jax.groups import cyclic_group
from gequi_jax.nn import CoordinateMLP, FrameSelfAttention

GROUP = cyclic_group(4)


def build(**options):
    options = {"group": GROUP, "num_heads": 2, "qkv_features": 8, **options}
    return FrameSelfAttention(3, 4, **options, rngs=nnx.Rngs(params=0, dropout=1))


def inputs():
    return jax.random.normal(jax.random.key(1), (1, 4, 4, 4, 3))


@pytest.mark.slow
def test_dropout_keeps_the_expectation_and_is_off_in_eval():
    module, x = build(dropout_rate=0.4), inputs()
    module.eval()
    exact = module(x)
    np.testing.assert_allclose(exact, build()(x), atol=1e-6)
    module.train()
    draws = nnx.jit(lambda module, x: module(x))(module, jnp.broadcast_to(x, (800, *x.shape[1:])))
    error = draws.std(axis=0) / np.sqrt(800)
    assert float(error.max()) > 1e-3
    assert float((jnp.abs(draws.mean(axis=0) - exact[0]) / (error + 1e-6)).max()) < 5.0


def test_without_positions_it_does_not_see_the_order_of_the_positions():
    """A control of both encodings: each of them makes the output depend on the order."""
    x = inputs()

    def change(**options):
        layer = build(**options)
        return float(jnp.abs(layer(x[:, ::-1])[:, ::-1] - layer(x)).max())

    assert change(rotary=False) < 1e-6
    assert change() > 1e-3


def test_the_plain_form_computes_the_same():
    module, x = build(window_size=3), inputs()
    plain = to_plain(module)
    assert isinstance(plain.qkv.linear, nnx.Linear)
    np.testing.assert_allclose(plain(x), module(x), atol=1e-6)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"qkv_features": 6}, "qkv_features: expected an even number .* use 8, or rotary=False"),
        ({"num_heads": 0}, "num_heads: expected a positive integer"),
        ({"window_size": 2}, "window_size: expected an odd positive integer"),
        ({"dropout_rate": 1.0}, "dropout_rate: expected a number"),
        (
            {"num_heads": 3, "qkv_features": 12, "position_encoding": CoordinateMLP},
            "position_encoding: expected 3 feat",
        ),
    ],
)
def test_errors_at_construction(options, message):
    with pytest.raises(ValueError, match=message):
        build(**options)


def test_errors_when_called():
    with pytest.raises(ValueError, match="expected 3 input channels"):
        build()(jnp.ones((1, 5, 5, 4, 2)))
    with pytest.raises(ValueError, match="expected a group axis of size 4"):
        build()(jnp.ones((1, 5, 5, 3, 3)))

"""The self-attention layers: sizes, dropout and errors; equivariance is tested with all layers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from gequi_jax import functional
from gequi_jax.actions import round_window
from gequi_jax.groups import cyclic_group, dihedral_group
from gequi_jax.nn import GroupSelfAttention, LiftingSelfAttention

GROUP = cyclic_group(4)


def build(layer=GroupSelfAttention, **options):
    options = {"group": GROUP, "num_heads": 2, "qkv_features": 12, "window_size": 3, **options}
    return layer(3, 4, **options, rngs=nnx.Rngs(params=0, dropout=1))


def inputs(layer, batch=1):
    poses = () if layer is LiftingSelfAttention else (GROUP.order,)
    return jax.random.normal(jax.random.key(1), (batch, 5, 5, *poses, 3))


def turned(x):
    return jnp.rot90(x, 1, axes=(1, 2)) if x.ndim == 4 else jnp.roll(jnp.rot90(x, 1, axes=(1, 2)), 1, axis=3)


@pytest.mark.parametrize("layer", [pytest.param(LiftingSelfAttention, marks=pytest.mark.slow), GroupSelfAttention])
def test_dropout_of_attention_has_the_right_expectation_and_is_off_in_eval(layer):
    module = build(layer, dropout_rate=0.4)
    x = inputs(layer)
    run = nnx.jit(lambda module, x: module(x))
    module.eval()
    exact = run(module, x)
    np.testing.assert_array_equal(exact, run(build(layer), x))
    np.testing.assert_array_equal(exact, run(module, x))

    module.train()
    draws = 800
    many = run(module, jnp.broadcast_to(x, (draws, *x.shape[1:])))
    many_turned = run(module, jnp.broadcast_to(turned(x), (draws, *x.shape[1:])))
    error = many.std(axis=0) / np.sqrt(draws)
    assert float(error.max()) > 1e-3  # dropout does something
    # Dropping weights after the softmax is linear: the mean of the draws is the output without dropout, ...
    assert float((jnp.abs(many.mean(axis=0) - exact[0]) / (error + 1e-6)).max()) < 5.0
    # ... and so it commutes with the group.
    expected, expected_error = turned(many.mean(axis=0)[None])[0], turned(error[None])[0]
    deviation = jnp.abs(many_turned.mean(axis=0) - expected) / (np.sqrt(2) * expected_error + 1e-6)
    assert float(deviation.max()) < 5.0


def test_two_calls_in_training_differ():
    module = build(dropout_rate=0.4)
    x = inputs(GroupSelfAttention)
    assert float(jnp.abs(module(x) - module(x)).max()) > 1e-3


@pytest.mark.parametrize(("pose_index", "rows"), [(functional.key_pose, 8), (functional.query_and_key_pose, 64)])
def test_pose_tables_have_the_rows_of_their_index(pose_index, rows):
    layer = build(group=dihedral_group(4), pose_index=pose_index)
    assert layer.pose_encoding.shape == (rows, 2)


def test_a_round_window_leaves_its_corners_out():
    mask = round_window((5, 5)).reshape(5, 5)
    assert not mask[0, 0]
    assert mask[0, 2]
    assert mask.sum() == 21
    layer = build(LiftingSelfAttention, window_size=5, window_mask=round_window)
    x = np.zeros((1, 9, 9, 3), np.float32)
    x[0, 4, 4] = 1.0
    changed = np.abs(np.asarray(layer(x) - layer(0 * x))).max(axis=(0, 3, 4)) > 1e-6
    np.testing.assert_array_equal(changed[2:7, 2:7], mask)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"qkv_features": None, "num_heads": 3},
            r"qkv_features: .* divisible by num_heads=3; got 4 \(out_features, the default\); use 3 or 6",
        ),
        ({"qkv_features": 1}, r"qkv_features: expected a total .* num_heads=2; got 1; use 2, the same"),
        ({"num_heads": 0}, "num_heads: expected a positive integer; got 0"),
        ({"qkv_features": 2}, "features: expected at least one for each of the 2 coordinates"),
        ({"window_size": 2}, "window_size: expected an odd positive integer"),
        ({"dropout_rate": 1.0}, "dropout_rate: expected a number of at least 0 and below 1"),
        ({"group": 4}, "group: expected a FiniteGroup"),
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
    with pytest.raises(ValueError, match="use at most 3"):
        build(window_size=5)(jnp.ones((1, 2, 2, 4, 3)))


@pytest.mark.slow
def test_the_backward_pass_computes_the_projections_again_but_not_the_kernel(monkeypatch):
    def operations():
        graph, state = nnx.split(build(implementation="pallas"))
        gradient = jax.grad(lambda state, x: nnx.merge(graph, state)(x).sum(), argnums=(0, 1))
        program = str(jax.make_jaxpr(gradient)(state, inputs(GroupSelfAttention)))
        return program.count("pallas_call["), program.count("dot_general[")

    kernels, products = operations()
    monkeypatch.setattr(jax, "checkpoint", lambda function, policy: function)
    kernels_of_kept, products_of_kept = operations()
    assert kernels == kernels_of_kept == 4  # forward and backward, for a TPU and interpreted
    assert products - products_of_kept == 3  # query, key and value

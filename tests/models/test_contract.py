"""What users of Flax do with a network, for every network, in `train()` mode with dropout.

Most of it is traced, not compiled: errors of traces, types and shapes appear there. One network of each architecture
also runs. The default tests take two networks, continuous integration one of each architecture, and
`pytest -m "" tests/models/test_contract.py` every one.
"""

import copy
import pickle

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp
import pytest
from flax import nnx

from gequi_jax import models
from tests import shrunk

BATCH = 2

representatives = pytest.mark.parametrize("name", shrunk.every_network(quick=("digits_alpha_f_p4_cnn",)))


def loss(model, x):
    return jnp.mean(jnp.square(model(x)))


def forward(graph, params, rest, x):
    """The logits and the state that the call has changed."""
    model = nnx.merge(graph, params, rest)
    return model(x), nnx.split(model, nnx.Param, ...)[2]


def gradient(graph, params, rest, x):
    """The loss, the changed state and the gradients, of a model merged inside the differentiated function."""

    def value(params):
        model = nnx.merge(graph, params, rest)
        return loss(model, x), nnx.split(model, nnx.Param, ...)[2]

    return jax.value_and_grad(value, has_aux=True)(params)


def traced(function, name):
    """The shapes of what a function of the split network returns."""
    graph, params, rest = shrunk.split(name)
    return jax.eval_shape(lambda *state: function(graph, *state), params, rest, shrunk.images(name))


def shapes(tree):
    return jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), tree)


def logits_shape(name):
    info = models.model_info(name)
    return (*(shrunk.images(name).shape[1:-1] if info.output == "grid" else ()), info.num_classes)


def assert_logits(shape, name):
    assert shape.shape == (BATCH, *logits_shape(name))


@representatives
def test_jit_over_split_state(name):
    _, _, rest = shrunk.split(name)
    logits, changed = traced(forward, name)
    assert_logits(logits, name)
    assert shapes(changed) == shapes(rest)


@representatives
def test_grad_over_merged_state(name):
    _, params, rest = shrunk.split(name)
    (value, changed), gradients = traced(gradient, name)
    assert value.shape == ()
    assert shapes(changed) == shapes(rest)
    assert shapes(gradients) == shapes(params)


@representatives
def test_nnx_value_and_grad(name):
    def step(graph, params, rest, x):
        model = nnx.merge(graph, params, rest)
        value, gradients = nnx.value_and_grad(loss)(model, x)
        return value, gradients, nnx.split(model, nnx.Param, ...)[2]

    _, params, rest = shrunk.split(name)
    value, gradients, changed = traced(step, name)
    assert value.shape == ()
    assert shapes(gradients) == shapes(params)
    assert shapes(changed) == shapes(rest)


@representatives
def test_nnx_remat(name):
    def step(graph, params, rest, x):
        model = nnx.merge(graph, params, rest)
        return nnx.grad(nnx.remat(loss))(model, x)

    assert shapes(traced(step, name)) == shapes(shrunk.split(name)[1])


@representatives
def test_jax_vmap_over_images(name):
    def call(graph, params, rest, x):
        return jax.vmap(lambda image: nnx.merge(graph, params, rest)(image[None])[0])(x)

    assert_logits(traced(call, name), name)


@representatives
def test_nnx_vmap_over_an_ensemble(name):
    members = 3

    def ensemble(x):
        @nnx.split_rngs(splits=members)
        @nnx.vmap
        def create(rngs):
            return models.create_model(name, rngs=rngs, **shrunk.overrides(name))

        return nnx.vmap(lambda model, x: model(x), in_axes=(0, None))(create(nnx.Rngs(0)), x)

    logits = jax.eval_shape(ensemble, shrunk.images(name))
    assert logits.shape == (members, BATCH, *logits_shape(name))


@representatives
def test_bfloat16(name):
    model = nnx.eval_shape(
        lambda: models.create_model(name, rngs=nnx.Rngs(0), dtype=jnp.bfloat16, **shrunk.overrides(name))
    )
    graph, params, rest = nnx.split(model, nnx.Param, ...)
    logits, changed = jax.eval_shape(lambda *state: forward(graph, *state), params, rest, shrunk.images(name))
    assert_logits(logits, name)
    assert logits.dtype == jnp.bfloat16
    assert shapes(changed) == shapes(rest)
    assert all(leaf.dtype == jnp.float32 for leaf in jax.tree.leaves((params, nnx.state(model, nnx.BatchStat))))


@representatives
def test_copies_are_independent_and_equal(name):
    model = shrunk.network(name)
    before = jax.tree.map(np.asarray, nnx.state(model, nnx.Param))
    for copied in (copy.deepcopy(model), nnx.clone(model), pickle.loads(pickle.dumps(model))):
        assert nnx.graphdef(copied) == nnx.graphdef(model)
        jax.tree.map(np.testing.assert_array_equal, nnx.state(copied, nnx.Param), before)
        nnx.update(copied, jax.tree.map(lambda leaf: leaf + 1, nnx.state(copied, nnx.Param)))
        jax.tree.map(np.testing.assert_array_equal, nnx.state(model, nnx.Param), before)


def equal_layers(model):
    """The largest number of layers in a row of one structure that keep the shape of their input."""
    layers = list(getattr(model, "blocks", ()) or getattr(model, "convs", ()))
    runs = [[layers[0]]] if layers else []
    for layer in layers[1:]:
        same = nnx.graphdef(layer) == nnx.graphdef(runs[-1][0]) and shapes(nnx.state(layer)) == shapes(
            nnx.state(runs[-1][0])
        )
        runs[-1].append(layer) if same else runs.append([layer])
    return max(runs, key=len, default=[])


@representatives
def test_nnx_scan_over_equal_layers(name):
    """Equal layers, stacked, in a loop."""
    model = shrunk.network(name)
    layers = equal_layers(model)
    if name.endswith("densenet") or name.startswith("pcam_") or "unet_" in name:
        assert len(layers) < 2
        pytest.skip("its blocks all differ in their width")
    graph, state = nnx.split(layers[0])
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), state, *(nnx.state(layer) for layer in layers[1:]))
    names = ("project", "conv3", "conv2")
    last = next((layer for name in names if (layer := getattr(layers[0], name, None)) is not None), layers[0])
    x = jnp.zeros((BATCH, *(8,) * model.group.dim, model.group.order, last.out_features))

    def loop(state, x):
        def body(x, layer):
            # Unpadded convolutions shrink the map, which a loop carries at its size.
            y = layer(x)
            margin = [(0, before - after) for before, after in zip(x.shape, y.shape, strict=True)]
            return jnp.pad(y, margin)

        return nnx.scan(body, in_axes=(nnx.Carry, 0), out_axes=nnx.Carry)(x, nnx.merge(graph, state))

    assert jax.eval_shape(loop, stacked, x).shape == x.shape


@representatives
def test_tabulate(name):
    text = nnx.tabulate(shrunk.network(name), shrunk.images(name), depth=1)
    assert type(shrunk.network(name)).__name__ in text


@representatives
def test_orbax_round_trip(name, tmp_path):
    model = shrunk.network(name)
    state = nnx.state(model)
    with ocp.StandardCheckpointer() as checkpointer:
        checkpointer.save(tmp_path / "state", state)
        checkpointer.wait_until_finished()
        restored = checkpointer.restore(tmp_path / "state", jax.eval_shape(lambda: state))
    jax.tree.map(np.testing.assert_array_equal, *map(plain, (restored, state)))


def plain(state):
    """The arrays of a state, random keys as their data."""
    is_key = lambda leaf: jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)  # noqa: E731
    return jax.tree.map(lambda leaf: np.asarray(jax.random.key_data(leaf) if is_key(leaf) else leaf), state)


@representatives
def test_a_step_runs_and_draws_dropout_anew(name):
    """Compiled, twice: finite, the second with other random numbers, and the network that was split is unchanged."""
    graph, params, rest = shrunk.split(name)
    step = jax.jit(lambda *state: gradient(graph, *state))
    x = shrunk.images(name)
    (first, changed), gradients = step(params, rest, x)
    (second, _), _ = step(params, changed, x)
    assert np.isfinite([float(first), float(second)]).all()
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(gradients))
    has_dropout = any(path[-1] == "count" for path, _ in nnx.to_flat_state(rest))
    assert (float(first) != float(second)) == has_dropout

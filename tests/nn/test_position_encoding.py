"""Positional encodings: one interface, continuous, differentiable, and what is particular to each."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from gequi_jax import functional
from gequi_jax.groups import cyclic_group, dihedral_group
from gequi_jax.nn import CoordinateMLP, CoordinateTable, FourierEncoding, GroupSelfAttention, LiftingSelfAttention
from gequi_jax.testing import assert_equivariant

SMOOTH_MLP = functools.partial(CoordinateMLP, epsilon=1e-2, bias_init=nnx.initializers.normal(0.5))
ENCODINGS = {
    "mlp": SMOOTH_MLP,
    "fourier": FourierEncoding,
    "table": functools.partial(CoordinateTable, size=5),
}


def build(name, features=6, dim=2):
    options = {"param_dtype": jnp.float32, "kernel_init": nnx.initializers.lecun_normal()}
    return ENCODINGS[name](features, dim=dim, rngs=nnx.Rngs(0), **options)


@pytest.mark.parametrize("name", ENCODINGS)
@pytest.mark.parametrize("dim", [1, 2, 3])
def test_interface(name, dim):
    encoding = build(name, features=7, dim=dim)
    assert 7 - dim < encoding.features <= 7
    assert encoding(jnp.zeros((4, 3, dim))).shape == (4, 3, encoding.features)


@pytest.mark.parametrize("name", ENCODINGS)
def test_continuous(name):
    encoding = build(name)
    points = jax.random.uniform(jax.random.key(1), (200, 2), minval=-1.0, maxval=1.0)
    step = 1e-3 * jax.random.normal(jax.random.key(2), points.shape)
    encode = jax.jit(encoding.__call__)
    assert float(jnp.abs(encode(points + step) - encode(points)).max()) < 0.05


@pytest.mark.parametrize("name", ENCODINGS)
def test_differentiable_in_coordinates_and_parameters(name):
    graph, state = nnx.split(build(name))

    @jax.jit
    @functools.partial(jax.grad, argnums=(0, 1))
    def gradient(state, points):
        return (nnx.merge(graph, state)(points) ** 2).sum()

    gradients = jax.tree.leaves(gradient(state, jnp.asarray([[0.3, -0.7], [0.9, 0.1]])))
    assert all(np.isfinite(leaf).all() and np.abs(leaf).max() > 0 for leaf in gradients)


def test_the_published_mlp_starts_as_a_function_of_the_sign():
    published = CoordinateMLP(4, dim=1, rngs=nnx.Rngs(0))
    values = np.asarray(published(jnp.asarray([[-1.0], [-0.01], [0.0], [0.01], [1.0]])))
    np.testing.assert_allclose(values[0], values[1], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(values[3], values[4], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(values[2], 0.0, atol=1e-6)
    assert np.abs(values[4] - values[0]).max() > 0.1
    smooth = np.asarray(build("mlp", features=4, dim=1)(jnp.asarray([[0.01], [1.0]])))
    assert np.abs(smooth[0] - smooth[1]).max() > 0.05


def test_fourier_encodings_are_what_they_say():
    encoding = FourierEncoding(3, dim=2, num_frequencies=5, bandwidth=2.0, rngs=nnx.Rngs(0))
    x = np.asarray([[0.25, -0.5]], np.float32)
    phases = np.pi * x @ np.asarray(encoding.frequencies[...])
    expected = np.concatenate([np.sin(phases), np.cos(phases)], -1) @ np.asarray(encoding.linear.kernel[...])
    np.testing.assert_allclose(encoding(x), expected, rtol=1e-5, atol=1e-6)


def test_a_table_reads_its_rows_at_the_knots_and_their_means_between():
    encoding = CoordinateTable(4, dim=2, size=5, rngs=nnx.Rngs(0))
    rows, columns = (np.asarray(table[...]) for table in encoding.tables)
    knots = np.linspace(-1, 1, 5, dtype=np.float32)
    got = np.asarray(encoding(np.stack(np.meshgrid(knots, knots, indexing="ij"), -1)))
    np.testing.assert_array_equal(got[..., :2], np.broadcast_to(rows[:, None], (5, 5, 2)))
    np.testing.assert_array_equal(got[..., 2:], np.broadcast_to(columns[None], (5, 5, 2)))
    between = np.asarray(encoding(np.asarray([0.25, -1.4], np.float32)))
    np.testing.assert_allclose(between[:2], (rows[2] + rows[3]) / 2, rtol=1e-5)
    np.testing.assert_allclose(between[2:], columns[0], rtol=1e-5)


@pytest.mark.parametrize("name", ENCODINGS)
def test_layers_with_it_are_equivariant(name):
    group = dihedral_group(4)
    options = {"group": group, "num_heads": 2, "qkv_features": 12, "window_size": 5, "rngs": nnx.Rngs(0)}
    lifting = LiftingSelfAttention(2, 4, position_encoding=ENCODINGS[name], **options)
    layer = GroupSelfAttention(4, 4, position_encoding=ENCODINGS[name], **options)
    x = jax.random.normal(jax.random.key(1), (2, 6, 6, 2))
    both = jax.jit(lambda x: layer(lifting(x)))
    assert_equivariant(both, x, group=group, rtol=1e-5)


def test_zeros_of_turned_coordinates_are_zeros():
    # cos 45 - sin 45 is not 0 in floating point, and a normalisation with an epsilon of 1e-12 would magnify it.
    group = cyclic_group(8)
    seen = functional.transformed_position_encodings(lambda x: x, group=group, window_shape=(7, 7))
    small = np.abs(np.asarray(seen))
    assert (small[small < 1e-3] == 0).all()
    assert (small == 0).sum() > 100


def test_errors():
    with pytest.raises(ValueError, match="at least one for each of the 3 coordinates; got 2"):
        CoordinateMLP(2, dim=3, rngs=nnx.Rngs(0))
    with pytest.raises(ValueError, match="at least two rows"):
        CoordinateTable(2, dim=2, size=1, rngs=nnx.Rngs(0))
    with pytest.raises(ValueError, match="num_frequencies: expected a positive integer; got 0"):
        FourierEncoding(2, dim=2, num_frequencies=0, rngs=nnx.Rngs(0))

"""The error that interpolation explains: that of analytic images, and too small for any fault."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from gequi_jax import functional, nn
from gequi_jax.actions import act_on_grid, round_window
from gequi_jax.groups import FiniteGroup, cyclic_group, dihedral_group
from gequi_jax.testing import assert_equivariant_but_for_resampling, resampling_errors
from gequi_jax.testing._resampling import _resampled, _sources

C8, D8 = cyclic_group(8), dihedral_group(8)
SIDE, CHANNELS = 32, 3
QUARTERS = np.asarray([[[1, 0], [0, 1]], [[0, -1], [1, 0]], [[-1, 0], [0, -1]], [[0, 1], [-1, 0]]])
# C_4 in a frame in which no quarter turn maps the grid to itself, and eighth turns about an axis of space.
SHEARED = FiniteGroup([(np.asarray([[1, 0.3], [0, 1]]) @ m @ np.asarray([[1, -0.3], [0, 1]])) for m in QUARTERS])
AROUND_AN_AXIS = FiniteGroup([np.block([[m, np.zeros((2, 1))], [np.zeros((1, 2)), np.eye(1)]]) for m in C8.matrices])


def waves(positions, poses=(), wavenumber=0.5, dim=2):
    """Sums of eight waves at positions `[n, dim]`, for one image and a few channels: `[1, n, *poses, channels]`."""
    random = np.random.default_rng(0)
    directions = random.normal(size=(8, *poses, CHANNELS, dim))
    directions *= wavenumber / np.linalg.norm(directions, axis=-1, keepdims=True)
    phases = random.uniform(0, 2 * np.pi, directions.shape[:-1])
    return np.cos(np.tensordot(positions, directions, axes=(-1, -1)) + phases).sum(axis=1)[None] / 2


def smooth(group, poses=(), side=SIDE, wavenumber=0.5):
    shape = (side,) * group.dim
    values = waves(_sources(group.identity, shape, group), poses, wavenumber, group.dim)
    return jnp.asarray(values.reshape(1, *shape, *values.shape[2:]), jnp.float32)


@pytest.mark.parametrize("group", [C8, SHEARED], ids=["p8", "sheared"])
def test_the_leading_order_is_the_error_of_interpolation(group):
    x = smooth(group, wavenumber=0.3)
    _, error = _resampled(1, x, group, "grid")
    exact = waves(_sources(1, (SIDE, SIDE), group), wavenumber=0.3).reshape(x.shape)
    found = np.asarray(act_on_grid(1, x, group=group)) - exact
    inner = (slice(None), slice(8, -8), slice(8, -8))
    assert np.linalg.norm(found[inner]) > 1e-3 * np.linalg.norm(exact[inner])
    assert np.linalg.norm((found - error)[inner]) < 0.05 * np.linalg.norm(found[inner])


def sound_layers(group):
    pointwise = nn.GroupConv(CHANNELS, 4, 1, group=group, rngs=nnx.Rngs(0))
    grid, maps = {"output": "grid"}, {"input": "feature_map"}
    return {
        "linear": (lambda x: 2 * x, grid),
        "nonlinear": (lambda x: jnp.tanh(2 * x) + x**2, grid),
        "pointwise": (lambda x: nnx.swish(pointwise(x)), maps),
        "pool": (functional.group_pool, maps | grid),
    }


def assert_explained(layer, x, group, **how):
    assert_equivariant_but_for_resampling(layer, x, group=group, **how)
    measured, explained = resampling_errors(layer, x, group=group, **how)
    assert (explained < 0.2).all()
    return measured / explained


@pytest.mark.parametrize(
    ("name", "group"),
    [
        *[(name, group) for name in ("nonlinear", "pool") for group in (C8, SHEARED)],
        *[
            pytest.param(name, group, marks=pytest.mark.slow)
            for name in ("nonlinear", "pool")
            for group in (D8, AROUND_AN_AXIS)
        ],
        *[(name, C8) for name in ("linear", "pointwise")],
    ],
)
def test_layers_without_a_window_pass(name, group):
    layer, how = sound_layers(group)[name]
    poses = (group.order,) if how.get("input") == "feature_map" else ()
    ratios = assert_explained(layer, smooth(group, poses, side=16 if group.dim == 3 else SIDE), group, **how)
    # The bound is no wide one, but for linear functions, which interpolation commutes with.
    assert (ratios < 1e-4).all() if name == "linear" else (ratios > 0.02).all()


@pytest.mark.parametrize("output", ["feature_map", "invariant"])
def test_what_looks_at_all_positions_passes_where_nothing_enters_from_beyond_the_border(output):
    norm = nn.LayerNorm(CHANNELS, group=C8, rngs=nnx.Rngs(0))
    layer = norm if output == "feature_map" else lambda x: jnp.square(x).mean(axis=(1, 2, 3))
    x = smooth(C8, (8,))
    how = {"input": "feature_map", "output": output}
    squares = np.square(_sources(0, (SIDE, SIDE), C8)).sum(axis=-1).reshape(1, SIDE, SIDE, 1, 1)
    assert_explained(layer, x * jnp.asarray(np.exp(-squares / 40), jnp.float32), C8, **how)
    with pytest.raises(AssertionError):
        assert_equivariant_but_for_resampling(layer, x, group=C8, **how)


def test_attention_in_a_round_window_passes_and_an_interpolated_kernel_does_not():
    options = {"group": C8, "window_mask": round_window, "rngs": nnx.Rngs(0)}
    attention = nn.LiftingSelfAttention(CHANNELS, 8, num_heads=2, window_size=5, **options)
    convolution = nn.LiftingConv(CHANNELS, 4, 5, **options)
    ratios = {}
    for wavenumber in (0.5, 0.25):
        for name, layer in (("attention", attention), ("convolution", convolution)):
            measured, explained = resampling_errors(layer, smooth(C8, wavenumber=wavenumber), group=C8, elements=[1])
            ratios[name, wavenumber] = measured[0] / explained[0]
            print(f"{name}, {2 * np.pi / wavenumber:.0f} pixels: {measured[0]:.3f}, explained {explained[0]:.3f}")
    assert max(ratios["attention", 0.5], ratios["attention", 0.25]) < 1
    # Smoother images do not help a kernel that differs from its turned copy.
    assert 2 < ratios["convolution", 0.5] < 8 < ratios["convolution", 0.25]


PLAIN = nnx.Conv(CHANNELS, CHANNELS, (3, 3), rngs=nnx.Rngs(0))
FAULTS = {
    "ramp": (lambda x: x + 0.02 * jnp.arange(float(SIDE))[None, :, None, None], {"output": "grid"}),
    "plain convolution": (PLAIN, {"output": "grid"}),
    "shift": (lambda x: jnp.roll(x, 1, axis=1), {"output": "grid"}),
    "poses": (lambda x: x[..., ::-1, :], {"input": "feature_map"}),
    "one pose": (lambda x: x[..., 0, :], {"input": "feature_map", "output": "grid"}),
    "invariant": (lambda x: x[:, 12:20, 8:-8].mean(axis=(1, 2)), {"output": "invariant"}),
}


@pytest.mark.parametrize("name", FAULTS)
def test_faults_are_found(name):
    layer, how = FAULTS[name]
    x = smooth(C8, (8,) if how.get("input") == "feature_map" else (), wavenumber=0.3)
    with pytest.raises(AssertionError, match=r"element \d has relative error .* interpolation of images explains"):
        assert_equivariant_but_for_resampling(layer, x, group=C8, **how)


def test_what_is_not_a_number_fails():
    with jax.debug_nans(False), pytest.raises(AssertionError, match="relative error nan"):
        assert_equivariant_but_for_resampling(lambda x: x * jnp.nan, smooth(C8), group=C8, output="grid")


def test_elements_that_keep_the_grid_are_explained_by_rounding_alone():
    _, explained = resampling_errors(jnp.tanh, smooth(C8), group=C8, output="grid", elements=range(8))
    assert (explained[::2] == 0).all()
    assert (explained[1::2] > 0).all()


def test_bad_input(key):
    with pytest.raises(ValueError, match=r"x: .* fourth differences are \d.* waves of 9 pixels"):
        resampling_errors(jnp.tanh, jax.random.normal(key, (1, 16, 16, 1)), group=C8, output="grid")
    with pytest.raises(ValueError, match="input: expected one of"):
        resampling_errors(jnp.tanh, smooth(C8), group=C8, input="image")
    with pytest.raises(ValueError, match="output: expected one of"):
        resampling_errors(jnp.tanh, smooth(C8), group=C8, output="image")
    with pytest.raises(ValueError, match="margin: 40 leaves no position"):
        resampling_errors(jnp.tanh, smooth(C8), group=C8, output="grid", margin=40)

"""Turns by 45 degrees, which no window of pixels survives: how far each layer is from equivariance.

Smooth images are functions of continuous coordinates, so that a turned image is made without interpolation. Outputs are
compared at the centre, which every turn leaves where it is: what remains is the error of the layer alone.

Reference: Romero & Cordonnier (2021), Sec. 5.1 and Fig. 2.
"""

import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from gequi_jax.actions import round_window
from gequi_jax.groups import cyclic_group
from gequi_jax.nn import FourierEncoding, LiftingConv, LiftingSelfAttention

GROUP = cyclic_group(8)
SIDE = 15
IMAGES = 64


def smooth_images(element, wavenumber=0.6):
    """Random sums of plane waves up to a wavenumber (radians a pixel), turned by an element: f(h^-1 x)."""
    random = np.random.default_rng(0)
    waves = random.uniform(-1, 1, (IMAGES, 12, 2))
    waves *= wavenumber / np.maximum(1.0, np.linalg.norm(waves, axis=-1, keepdims=True))
    phases = random.uniform(0, 2 * np.pi, (IMAGES, 12, 1, 1))
    axis = np.arange(SIDE) - SIDE // 2
    grid = np.stack(np.meshgrid(axis, axis, indexing="ij"), -1) @ np.linalg.inv(GROUP.matrices[element]).T
    values = np.cos(np.einsum("nwd,rcd->nwrc", waves, grid) + phases).sum(axis=1)
    return jnp.asarray(values[..., None] / np.sqrt(6), jnp.float32)


def centre_error(layer, element=1):
    """|layer(L_g f) - L_g layer(f)| at the centre, relative to how the output varies between images."""
    run = nnx.jit(layer)
    centre = (slice(None), SIDE // 2, SIDE // 2)
    plain = np.asarray(run(smooth_images(0))[centre])  # [image, group, channels]
    turned = np.asarray(run(smooth_images(element))[centre])
    expected = plain[:, GROUP.cayley_table[GROUP.inverses[element]]]
    return np.linalg.norm(turned - expected) / np.linalg.norm(plain - plain.mean(axis=0))


def mean_error(build, element=1, seeds=5):
    return float(np.mean([centre_error(build(nnx.Rngs(seed)), element) for seed in range(seeds)]))


def attention(window_size, window_mask):
    return lambda rngs: LiftingSelfAttention(
        1,
        8,
        group=GROUP,
        num_heads=4,
        qkv_features=8,
        window_size=window_size,
        window_mask=window_mask,
        position_encoding=FourierEncoding,
        kernel_init=nnx.initializers.variance_scaling(9.0, "fan_in", "normal"),
        rngs=rngs,
    )


def convolution(window_size):
    return lambda rngs: LiftingConv(1, 8, window_size, group=GROUP, rngs=rngs)


@pytest.fixture(scope="module")
def errors():
    measured = {}
    for window_size in (5, 9):
        measured["square", window_size] = mean_error(attention(window_size, None))
        measured["round", window_size] = mean_error(attention(window_size, round_window))
        measured["convolution", window_size] = mean_error(convolution(window_size))
    for (kind, window_size), error in measured.items():
        print(f"{kind} {window_size}x{window_size}: {error:.3f} under 45 degrees")
    return measured


def test_right_angles_are_exact():
    for build in (attention(5, None), attention(5, round_window), convolution(5)):
        assert centre_error(build(nnx.Rngs(0)), element=2) < 1e-5


def test_a_round_window_is_nearer_to_equivariance_than_a_square_one(errors):
    assert errors["round", 5] < errors["square", 5]
    assert errors["round", 9] < 0.7 * errors["square", 9]


def test_a_larger_round_window_is_nearer_than_a_smaller_one(errors):
    assert errors["round", 9] < errors["round", 5]


def test_a_round_window_is_nearer_than_an_interpolated_kernel_which_does_not_gain_by_size(errors):
    for window_size in (5, 9):
        assert errors["round", window_size] < errors["convolution", window_size]
    assert errors["convolution", 9] > 0.9 * errors["convolution", 5]
    # A square window loses its corners to the turn: a small one costs more than interpolation does.
    assert errors["square", 9] < errors["convolution", 9]

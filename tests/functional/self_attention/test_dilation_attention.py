"""Self-attention on the dilation-translation group."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gequi_jax import functional
from gequi_jax.groups import DyadicDilations
from tests.reference import dilation_attention as reference

OPTIONS = ("dilations", "window_size", "haar_weights")
lifting_attention = jax.jit(functional.lifting_dilation_attention, static_argnames=OPTIONS)
group_attention = jax.jit(functional.group_dilation_attention, static_argnames=OPTIONS)
WEIGHTS = ("in_softmax", "printed", "none")


def normal(seed, *shape):
    return np.asarray(jax.random.normal(jax.random.key(seed), shape))


@pytest.mark.parametrize("haar_weights", WEIGHTS)
@pytest.mark.parametrize("dim", [1, 2])
def test_lifting_agrees_with_the_loops(haar_weights, dim):
    dilations, window = DyadicDilations(3, dim=dim), 3
    spatial = (9, 7)[:dim]
    query, key, value = (normal(seed, 2, *spatial, 2, 4) for seed in range(3))
    rho = normal(3, window**dim, 3)
    out = lifting_attention(query, key, value, rho, dilations=dilations, window_size=window, haar_weights=haar_weights)
    assert out.shape == (2, *spatial, 3, 2, 4)
    for position in ((0,) * dim, (4, 3)[:dim], (8, 1)[:dim]):
        for index in range(3):
            expected = reference.attend(
                *(array[1][..., None, :, :] for array in (query, key, value)),
                rho,
                None,
                position,
                index,
                window_size=window,
                haar_weights=haar_weights,
                scale_count=3,
                dim=dim,
            )
            np.testing.assert_allclose(out[(1, *position, index)], expected, rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize("haar_weights", WEIGHTS)
@pytest.mark.parametrize("dim", [1, 2])
def test_group_agrees_with_the_loops(haar_weights, dim):
    dilations, window = DyadicDilations(3, dim=dim), 3
    spatial = (6, 7)[:dim]
    query, key, value = (normal(seed, 2, *spatial, 3, 2, 5) for seed in range(3))
    rho, tau = normal(3, window**dim, 3), normal(4, 2, 2)
    out = group_attention(
        query, key, value, rho, tau, dilations=dilations, window_size=window, haar_weights=haar_weights
    )
    for position in ((0,) * dim, (3, 3)[:dim]):
        for index in range(3):
            expected = reference.attend(
                query[0],
                key[0],
                value[0],
                rho,
                tau,
                position,
                index,
                window_size=window,
                haar_weights=haar_weights,
                scale_count=3,
                dim=dim,
            )
            np.testing.assert_allclose(out[(0, *position, index)], expected, rtol=2e-5, atol=2e-6)


def smooth_image(side, magnification, channels=3):
    """F(x / magnification) about the centre, F a sum of waves that the grid resolves."""
    random = np.random.default_rng(0)
    axis = (np.arange(side) - side // 2) / magnification
    rows, columns = np.meshgrid(axis, axis, indexing="ij")
    waves = [
        np.cos(a * rows + b * columns + c)
        for a, b, c in zip(
            *random.uniform(-0.5, 0.5, (2, 4 * channels)), random.uniform(0, 6, 4 * channels), strict=True
        )
    ]
    return np.stack(waves, -1).reshape(side, side, 4, channels).sum(axis=2).astype(np.float32)


def two_layers(image, dilations, haar_weights):
    """A lifting layer and a group layer with weights that do not depend on anything but the seed."""
    x = jnp.asarray(image)[None]
    project = [normal(seed, image.shape[-1], 2, 6) for seed in range(3)]
    heads = [jnp.einsum("brcx,xhd->brchd", x, weight) for weight in project]
    lifted = lifting_attention(*heads, normal(3, 9, 6), dilations=dilations, window_size=3, haar_weights=haar_weights)
    project = [normal(seed, 2, 6, 2, 6) / 3 for seed in range(4, 7)]
    heads = [jnp.einsum("brcsxy,xyhd->brcshd", lifted, weight) for weight in project]
    out = group_attention(
        *heads, normal(7, 9, 4), normal(8, 2, 2), dilations=dilations, window_size=3, haar_weights=haar_weights
    )
    return np.asarray(lifted[0]), np.asarray(out[0])


def scale_errors(haar_weights):
    """The relative error of out(2 x, 2 h) on the image magnified twice against out(x, h), away from the borders."""
    side, dilations = 49, DyadicDilations(4)
    plain = two_layers(smooth_image(side, 1), dilations, haar_weights)
    magnified = two_layers(smooth_image(side, 2), dilations, haar_weights)
    errors = []
    for layer, (before, after) in enumerate(zip(plain, magnified, strict=True)):
        # Complete neighbourhoods: 8 positions for the largest scale of lifting, then 4, and 2 scales upwards.
        reach, scales = (4, 3) if layer == 0 else (4, 2)
        centre = side // 2
        at = np.arange(-reach, reach + 1)
        expected = before[np.ix_(centre + at, centre + at)][:, :, :scales]
        got = after[np.ix_(centre + 2 * at, centre + 2 * at)][:, :, 1 : scales + 1]
        errors.append(np.linalg.norm(got - expected) / np.linalg.norm(expected))
    return errors


@pytest.mark.parametrize("haar_weights", ["in_softmax", "none"])
def test_scale_equivariance(haar_weights):
    errors = scale_errors(haar_weights)
    print(f"scale equivariance error with haar_weights={haar_weights}: {errors}")
    assert max(errors) < 1e-5


def test_the_printed_weights_break_scale_equivariance_by_their_own_factor():
    lifting, group = scale_errors("printed")
    print(f"scale equivariance error with the printed weights: {lifting}, {group}")
    assert lifting == pytest.approx(1 - 2.0**-2, abs=1e-4)
    assert group > 0.8


def test_the_largest_scales_are_a_border():
    dilations = DyadicDilations(2)
    before = two_layers(smooth_image(33, 1), dilations, "none")[1]
    after = two_layers(smooth_image(33, 2), dilations, "none")[1]
    error = np.linalg.norm(after[16, 16, 1] - before[16, 16, 0]) / np.linalg.norm(before[16, 16, 0])
    assert error > 0.01


def dense_error(normalize, haar_weight):
    """As `scale_errors`, for the neighbourhood that holds every position within its reach."""
    side, radius = 61, 4
    random = np.random.default_rng(1)
    project = [random.normal(size=(3, 4)) / 2 for _ in range(3)]
    directions = random.normal(size=(2, 4))
    arguments = {
        "radius": radius,
        "project": project,
        "encode": lambda x: np.sin(x @ directions),
        "normalize": normalize,
        "haar_weight": haar_weight,
    }
    centre = (side // 2, side // 2)
    plain, magnified = smooth_image(side, 1), smooth_image(side, 2)
    expected = reference.attend_densely(plain, centre, 1, **arguments)
    got = reference.attend_densely(magnified, centre, 2, **arguments)
    return np.linalg.norm(got - expected) / np.linalg.norm(expected)


def test_where_haar_weights_are_needed_and_where_they_hurt():
    softmax, softmax_weighted = dense_error(True, False), dense_error(True, True)
    total, total_weighted = dense_error(False, False), dense_error(False, True)
    print(f"dense neighbourhoods: softmax {softmax:.4f}, with 1/h^2 {softmax_weighted:.4f};")
    print(f"without a normaliser {total:.4f}, with 1/h^2 {total_weighted:.4f}")
    assert total_weighted < 0.1 < 2.0 < total
    assert softmax < 0.1 < 0.7 < softmax_weighted


def test_gradients_are_finite_at_the_borders():
    dilations = DyadicDilations(3)
    x = normal(0, 1, 5, 5, 3, 1, 3)

    def loss(x, rho, tau):
        out = functional.group_dilation_attention(x, x, x, rho, tau, dilations=dilations, window_size=5)
        return (out**2).sum()

    gradients = jax.jit(jax.grad(loss, argnums=(0, 1, 2)))(x, normal(1, 25, 2), normal(2, 3, 1))
    assert all(np.isfinite(gradient).all() and np.abs(gradient).max() > 0 for gradient in gradients)


def test_bad_input():
    dilations = DyadicDilations(2)
    heads = [jnp.ones((1, 5, 5, 1, 4))] * 3
    lift = functional.lifting_dilation_attention
    with pytest.raises(ValueError, match=r"haar_weights: expected one of .*in_softmax.*got 'haar'"):
        lift(*heads, jnp.ones((9, 4)), dilations=dilations, window_size=3, haar_weights="haar")
    with pytest.raises(ValueError, match="window_size: expected an odd"):
        lift(*heads, jnp.ones((9, 4)), dilations=dilations, window_size=4)
    with pytest.raises(ValueError, match=r"position_encoding: expected \[25, features\]"):
        lift(*heads, jnp.ones((9, 4)), dilations=dilations, window_size=5)
    with pytest.raises(ValueError, match="with 1 spatial axes"):
        lift(*heads, jnp.ones((3, 4)), dilations=DyadicDilations(2, dim=1), window_size=3)
    group = functional.group_dilation_attention
    heads = [jnp.ones((1, 5, 5, 3, 1, 4))] * 3
    with pytest.raises(ValueError, match="expected 2 scales on axis -3"):
        group(*heads, jnp.ones((9, 2)), jnp.ones((2, 2)), dilations=dilations, window_size=3)
    with pytest.raises(ValueError, match="scale_encoding: expected 1 to 3 rows"):
        group(*heads, jnp.ones((9, 2)), jnp.ones((4, 2)), dilations=DyadicDilations(3), window_size=3)

"""Upsampling against a loop and a library, where it commutes with the group, and where it rejects a size."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gequi_jax import functional
from gequi_jax.groups import dihedral_group
from gequi_jax.testing import equivariance_errors
from tests.reference import resampling as reference

SIZES = [((3, 4), (6, 8)), ((3, 4), (9, 7)), ((1, 5), (4, 9)), ((5, 2), (5, 8))]


@pytest.mark.parametrize("align_corners", [False, True])
@pytest.mark.parametrize(("sides", "target"), SIZES)
def test_linear_interpolation_agrees_with_a_loop(sides, target, align_corners):
    x = np.random.default_rng(0).normal(size=(*sides, 2)).astype(np.float32)
    options = {"method": "linear", "align_corners": align_corners}
    y = functional.upsample(x[None], dim=2, spatial_shape=target, **options)[0]
    np.testing.assert_allclose(y, reference.upsample(x, target, "linear", align_corners=align_corners), atol=1e-6)


@pytest.mark.parametrize(("sides", "target"), [((3, 4), (6, 8)), ((3, 5), (5, 7)), ((1, 5), (4, 6))])
def test_nearest_neighbours_agree_with_a_loop(sides, target):
    x = np.random.default_rng(0).normal(size=(*sides, 2)).astype(np.float32)
    y = functional.upsample(x[None], dim=2, spatial_shape=target)[0]
    np.testing.assert_array_equal(y, reference.upsample(x, target, "nearest", align_corners=False).astype(np.float32))


@pytest.mark.parametrize("method", ["nearest", "linear"])
def test_factors_give_what_jax_gives(method):
    x = jnp.asarray(np.random.default_rng(0).normal(size=(2, 3, 4, 2)), jnp.float32)
    expected = jax.image.resize(x, (2, 9, 12, 2), method)
    np.testing.assert_allclose(functional.upsample(x, dim=2, factor=3, method=method), expected, atol=1e-6)


def ties(side, size):
    """Whether an output position lies halfway between two input positions, in fractions of 2 m."""
    return any(((2 * i + 1) * side) % (2 * size) == 0 for i in range(size))


def test_nearest_neighbours_are_rejected_where_they_do_not_commute_and_only_there():
    """All small sides: what is rejected is what breaks, when it is accepted."""
    group = dihedral_group(1)  # a mirroring along one axis
    for side in range(1, 5):
        x = jnp.asarray(np.random.default_rng(side).normal(size=(1, 2, side, 1)), jnp.float32)
        for size in range(side, 9):
            target = {"dim": 2, "spatial_shape": (2, size)}
            accepted = lambda x, target=target: functional.upsample(x, **target, allow_inequivariant=True)  # noqa: E731
            error = equivariance_errors(accepted, x, group=group, output="grid").max()
            if ties(side, size):
                assert error > 1e-2
                with pytest.raises(ValueError, match="halfway between input positions"):
                    functional.upsample(x, **target)
            else:
                assert error == 0.0
                functional.upsample(x, **target)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "cubic"}, "method: expected one of 'nearest', 'linear'"),
        ({"factor": 0}, "factor: expected a positive integer; got 0"),
        ({"spatial_shape": (4, 2)}, r"none below those of the input, \(3, 4\); got \(4, 2\)"),
        ({"spatial_shape": (4,)}, "spatial_shape: expected 2 sides"),
        ({"spatial_shape": (5, 8), "align_corners": True}, "from a side of 3 to 5"),
    ],
)
def test_bad_input(options, message):
    with pytest.raises(ValueError, match=message):
        functional.upsample(jnp.ones((1, 3, 4, 2)), dim=2, **options)

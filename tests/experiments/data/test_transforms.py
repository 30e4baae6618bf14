import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments import data
from experiments.errors import UserError
from gequi_jax import actions, groups


def images(count=6, size=9, channels=1):
    return jax.random.uniform(jax.random.key(1), (count, size, size, channels))


GROUP = groups.dihedral_group(4)
# These change values, so that they may leave [0, 1].
PHOTOMETRIC = ("random_brightness", "random_contrast", "random_noise")


def apply(name, key, batch, group=GROUP):
    return data.augment((name,), key, batch, group=group)


@pytest.mark.parametrize("name", data.AUGMENTATIONS)
def test_augmentation_keeps_shape_and_range_and_is_a_function_of_its_key(name):
    function = jax.jit(lambda key, batch: apply(name, key, batch))
    batch = images()
    result = function(jax.random.key(0), batch)
    margin = 0.3 if name in PHOTOMETRIC else 1e-6
    assert result.shape == batch.shape
    assert result.dtype == batch.dtype
    assert -margin <= result.min() <= result.max() <= 1 + margin
    np.testing.assert_array_equal(result, function(jax.random.key(0), batch))
    assert not np.array_equal(result, function(jax.random.key(7), batch))


@pytest.mark.parametrize(
    ("group", "sizes", "expected"),
    [
        (groups.dihedral_group(4), (5, 5), 8),
        (groups.cyclic_group(8), (5, 5), 4),
        (groups.dihedral_group(4), (4, 6), 4),
        (groups.mirror_group(), (4, 6), 2),
        (groups.FiniteGroup([np.eye(3), np.diag([-1.0, -1, 1])], name="half turn"), (3, 4, 5), 2),
    ],
)
def test_random_symmetry_draws_every_element_that_keeps_the_grid(group, sizes, expected):
    one = jnp.arange(np.prod(sizes), dtype=jnp.float32).reshape(1, *sizes, 1)
    drawn = np.asarray(apply("random_symmetry", jax.random.key(0), jnp.repeat(one, 200, 0), group))
    found = {image.tobytes() for image in drawn}
    moved = set()
    for element in actions.grid_preserving_elements(group):
        if sizes[0] == sizes[1] or np.allclose(np.abs(group.matrices[element]), np.eye(len(sizes))):
            moved.add(np.asarray(actions.act_on_grid(element, one, group=group))[0].tobytes())
    assert found == moved
    assert len(found) == expected


@pytest.mark.parametrize("name", PHOTOMETRIC[:2])
def test_photometric_augmentation_commutes_with_turns(name):
    batch, key = images(), jax.random.key(3)
    turned = apply(name, key, jnp.rot90(batch, axes=(1, 2)))
    np.testing.assert_allclose(turned, jnp.rot90(apply(name, key, batch), axes=(1, 2)), atol=1e-6)


def test_planar_augmentation_of_volumes_is_refused():
    with pytest.raises(UserError, match="random_rotation is for images with rows and columns"):
        data.check_augmentation(("random_rotation", "random_noise"), 3)
    data.check_augmentation(("random_symmetry", "random_noise"), 3)


def test_random_crop_and_flip_only_move_pixels():
    ramp = jnp.broadcast_to(jnp.arange(1.0, 82.0).reshape(1, 9, 9, 1), (50, 9, 9, 1))
    cropped = np.asarray(data.AUGMENTATIONS["random_crop"](jax.random.key(0), ramp))
    assert set(np.unique(cropped)) <= set(range(82))
    assert len({image.tobytes() for image in cropped}) > 10
    flipped = np.asarray(data.AUGMENTATIONS["random_flip"](jax.random.key(0), ramp))
    allowed = {np.asarray(ramp[0]).tobytes(), np.asarray(ramp[0, :, ::-1]).tobytes()}
    assert {image.tobytes() for image in flipped} == allowed


def test_augmentations_in_a_row_get_keys_of_their_own():
    batch = images()
    key = jax.random.key(0)
    expected = data.AUGMENTATIONS["random_flip"](jax.random.fold_in(key, 0), batch)
    expected = data.AUGMENTATIONS["random_crop"](jax.random.fold_in(key, 1), expected)
    np.testing.assert_array_equal(data.augment(("random_flip", "random_crop"), key, batch), expected)
    np.testing.assert_array_equal(data.augment((), key, batch), batch)


@pytest.mark.parametrize("name", ["mnist", "cifar10"])
def test_standardisation(name):
    channels = {"mnist": 1, "cifar10": 3}[name]
    batch = images(channels=channels)
    normalized = np.asarray(data.NORMALIZATIONS[name](batch))
    for channel in range(channels):
        slope, offset = np.polyfit(np.ravel(batch[..., channel]), np.ravel(normalized[..., channel]), 1)
        assert slope > 1
        assert offset < 0


def test_bytes_become_fractions():
    np.testing.assert_allclose(data.as_unit_range(jnp.array([0, 51, 255], jnp.uint8)), [0, 0.2, 1], atol=1e-7)
    np.testing.assert_array_equal(data.as_unit_range(jnp.array([0.25])), [0.25])


def test_measured_normalisation_gives_mean_zero_and_deviation_one():
    batch = images(channels=2)
    mean, deviation = (tuple(np.asarray(getattr(batch, name)((0, 1, 2))).tolist()) for name in ("mean", "std"))
    preprocessing = data.Preprocessing((9, 9), 2, "pad", "float32", (0.0, 1.0), mean, deviation)
    normalized = data.normalization(data.MEASURED, preprocessing)(batch)
    np.testing.assert_allclose(normalized.mean((0, 1, 2)), 0, atol=1e-5)
    np.testing.assert_allclose(normalized.std((0, 1, 2)), 1, atol=1e-5)
    with pytest.raises(UserError, match="cifar10 is for 3 channel"):
        data.normalization("cifar10", preprocessing)

"""Tiles of images with masks: a function of seed and step, with the mask always that of the image."""

import jax
import numpy as np
import pytest

from experiments import data
from experiments.errors import UserError
from gequi_jax import groups

P4M = groups.dihedral_group(4)


def source(count=3, sizes=(9, 7)):
    """Images whose value says where a pixel is, and masks that follow from the values."""
    images = np.arange(count * np.prod(sizes), dtype=np.uint8).reshape(count, *sizes, 1)
    masks = np.empty(count, object)
    masks[:] = [image[..., 0] % 5 for image in images]
    return data.MaskedSource(images, masks, data.Preprocessing(sizes, 1, "keep", "uint8"))


def batches(num_steps, process_index=0, process_count=1, seeds=(0,)):
    tiles = data.TiledSource(source(), (4, 3), 12)
    places = {"process_index": process_index, "process_count": process_count}
    return data.training_batches(tiles, batch_size=4, num_steps=num_steps, seeds=seeds, **places)


def test_tiles_lie_everywhere_and_keep_their_masks():
    seen = set()
    for batch in batches(60):
        assert batch["image"].shape == (4, 4, 3, 1)
        np.testing.assert_array_equal(batch["label"], batch["image"][..., 0] % 5)
        seen |= {int(tile[0, 0, 0]) for tile in batch["image"]}
    # 3 images, 6 x 5 places in each.
    assert len(seen) > 80


def test_tiles_continue_where_a_run_stopped_and_are_shared_among_processes():
    whole = [batch["image"] for batch in batches(6)]
    iterator = batches(6)
    for _ in range(3):
        next(iterator)
    resumed = batches(6)
    resumed.set_state(iterator.get_state())
    for expected, batch in zip(whole[3:], resumed, strict=True):
        np.testing.assert_array_equal(batch["image"], expected)
    halves = [[batch["image"] for batch in batches(6, index, 2)] for index in range(2)]
    np.testing.assert_array_equal(np.concatenate(halves, axis=1), whole)
    assert not np.array_equal(next(batches(1, seeds=(1,)))["image"], whole[0])


def test_an_epoch_covers_every_image_by_default():
    assert len(data.TiledSource(source(), (4, 3))) == 3 * 3 * 3
    whole = data.TiledSource(source())
    assert len(whole) == 3
    np.testing.assert_array_equal(whole.fetch(np.arange(3))["image"], source().images)
    assert whole.class_counts[:6].sum() == 3 * 63


@pytest.mark.parametrize("name", ["random_symmetry", "random_quarter_turn", "random_flip"])
def test_masks_move_with_their_images(name):
    images = np.arange(8 * 36, dtype=np.float32).reshape(8, 6, 6, 1)
    names, key = ("random_brightness", name, "random_noise"), jax.random.key(0)
    moved = data.augment_masks(names, key, images[..., 0].astype(np.int32), group=P4M)
    changed = data.augment(names, key, images, group=P4M)
    assert (moved != images[..., 0]).any()
    # The photometric changes are at most 0.1 and a few standard deviations of 0.02; pixels differ by 1.
    np.testing.assert_allclose(changed[..., 0], moved, atol=0.3)


@pytest.mark.parametrize("name", ["random_rotation", "random_crop"])
def test_augmentation_that_interpolates_is_refused(name):
    with pytest.raises(UserError, match=f"augmentation={name} computes new values"):
        data.check_augmentation((name, "random_flip"), 2, masks=True)
    data.check_augmentation((name,), 2)

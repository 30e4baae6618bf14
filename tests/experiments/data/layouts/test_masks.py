"""Images with masks, in folders and in files of arrays."""

import numpy as np
import pytest
from PIL import Image

from experiments import data
from experiments.data import layouts
from experiments.errors import UserError

RANDOM = np.random.default_rng(0)
IMAGES = RANDOM.integers(0, 256, (9, 11, 13), np.uint8)
MASKS = IMAGES // 100  # 0, 1, 2
OPTIONS = {"num_validation": 2}


def build(listing, **options):
    return data.build_masked(listing, data.ReadingOptions(**OPTIONS, **options))


def build_npz(folder, content, **options):
    np.savez(folder / "mine.npz", **content)
    assert data.has_masks("npz", str(folder / "mine.npz"))
    return build(layouts.list_masked_npz(str(folder / "mine.npz")), **options)


def write_folder(folder, images, masks, names=None):
    for kind, arrays in (("images", images), ("masks", masks)):
        (folder / kind).mkdir(parents=True, exist_ok=True)
        for index, array in enumerate(arrays):
            Image.fromarray(array).save(folder / kind / f"{names[index] if names else index}.png")


def examples(dataset):
    """All images and masks, in the order of their images."""
    sources = (dataset.train.source, dataset.validation, dataset.test())
    found = [source.example(index) for source in sources for index in range(len(source))]
    return sorted(((each["image"], each["label"]) for each in found), key=lambda pair: pair[0].tobytes())


def check(dataset, masks=MASKS):
    for (image, mask), (index, expected) in zip(
        examples(dataset), sorted(enumerate(masks), key=lambda pair: IMAGES[pair[0]].tobytes()), strict=True
    ):
        np.testing.assert_array_equal(image[..., 0], IMAGES[index])
        np.testing.assert_array_equal(mask, expected)


def test_arrays_of_class_indices_are_split(tmp_path):
    dataset = build_npz(tmp_path, {"images": IMAGES, "masks": MASKS})
    check(dataset)
    assert dataset.label_names == data.LabelNames(("0", "1", "2"), data.SEGMENTATION)
    assert (dataset.num_train, len(dataset.validation), len(dataset.test())) == (6, 2, 1)
    assert dataset.image_shape == (11, 13, 1)


def test_packed_booleans_are_booleans(tmp_path):
    masks = IMAGES > 120
    for packed in (masks, np.packbits(masks, axis=-1)):
        dataset = build_npz(tmp_path, {"images": IMAGES, "masks": packed})
        check(dataset, masks)
        assert any("packed" in note for note in dataset.notes) == (packed.dtype == np.uint8)


def test_splits_of_arrays_have_prefixes(tmp_path):
    parts = {"train_": slice(0, 5), "val_": slice(5, 7), "test_": slice(7, 9)}
    content = {
        f"{name}{kind}": of[part] for name, part in parts.items() for kind, of in (("images", IMAGES), ("masks", MASKS))
    }
    dataset = build_npz(tmp_path, content)
    np.testing.assert_array_equal(dataset.test().example(1)["label"], MASKS[8])
    assert (dataset.num_train, len(dataset.validation)) == (5, 2)


def test_a_folder(tmp_path):
    write_folder(tmp_path, IMAGES, MASKS)
    assert data.has_masks("folder", str(tmp_path))
    check(build(layouts.list_masked_folder(str(tmp_path))))


def test_black_and_white_masks_and_palettes(tmp_path):
    masks = IMAGES > 120
    write_folder(tmp_path / "white", IMAGES, masks.astype(np.uint8) * np.uint8(255))
    dataset = build(layouts.list_masked_folder(str(tmp_path / "white")))
    check(dataset, masks)
    assert dataset.label_names.names == ("0", "255")
    write_folder(tmp_path / "bits", IMAGES, masks)
    check(build(layouts.list_masked_folder(str(tmp_path / "bits"))), masks)
    write_folder(tmp_path / "palette", IMAGES, MASKS)
    for path in (tmp_path / "palette" / "masks").iterdir():
        image = Image.open(path).convert("L")
        image.putpalette([0, 0, 0, 200, 0, 0, 0, 200, 0] + [0] * 759)
        image.save(path)
    check(build(layouts.list_masked_folder(str(tmp_path / "palette"))))


def test_images_of_several_sizes_are_read_in_tiles_and_evaluated_whole(tmp_path):
    images = [image[: 11 - index % 3] for index, image in enumerate(IMAGES)]
    write_folder(tmp_path, images, [image // 100 for image in images])
    listing = layouts.list_masked_folder(str(tmp_path))
    with pytest.raises(UserError, match=r"several sizes, such as 9x13 and 11x13: set --config.tile_size"):
        build(listing)
    dataset = build(listing, tile_size=(8, 4))
    assert dataset.image_shape == (8, 4, 1)
    assert len(dataset.train) == 6 * 2 * 4
    assert {mask.shape for _, mask in examples(dataset)} == {(11, 13), (10, 13), (9, 13)}
    for image, mask in examples(dataset):
        np.testing.assert_array_equal(mask, image[..., 0] // 100)


def test_empty_masks_and_classes_of_one_pixel_are_kept_and_missing_classes_named(tmp_path):
    masks = np.zeros_like(MASKS)
    masks[:, 3, 4] = 3
    masks[8] = 0
    dataset = build_npz(tmp_path, {"images": IMAGES, "masks": masks})
    check(dataset, masks)
    assert "no pixel of the training masks has the class 1, 2" in dataset.notes


def spoiled(tmp_path, how):
    """A folder or a file with one mistake, and its listing."""
    content = {"images": IMAGES, "masks": MASKS}
    if how in ("shape", "float", "negative", "void", "grey", "no masks"):
        content["masks"] = {
            "shape": MASKS[:, :-1],
            "float": MASKS + 0.5,
            "negative": MASKS.astype(int) - 1,
            "void": np.where(MASKS == 2, 255, MASKS),
            "grey": MASKS * np.uint8(100),
            "no masks": MASKS,
        }[how]
        if how == "no masks":
            content = {"train_images": IMAGES, "masks": MASKS}
        np.savez(tmp_path / "mine.npz", **content)
        return layouts.list_masked_npz(str(tmp_path / "mine.npz"))
    masks = [*MASKS]
    if how == "size":
        masks[4] = masks[4][:, :-1]
    names = [str(index) for index in range(9)]
    write_folder(tmp_path, IMAGES, masks, names)
    if how == "missing":
        (tmp_path / "masks" / "3.png").unlink()
    if how == "alone":
        (tmp_path / "images" / "5.png").unlink()
    if how == "folder":
        (tmp_path / "masks").rename(tmp_path / "labels")
    if how == "lossy":
        Image.open(tmp_path / "masks" / "0.png").save(tmp_path / "masks" / "0.jpg")
        (tmp_path / "masks" / "0.png").unlink()
    if how == "colours":
        Image.fromarray(np.stack([IMAGES[0], MASKS[0], MASKS[0]], -1)).save(tmp_path / "masks" / "0.png")
    return layouts.list_masked_folder(str(tmp_path))


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("shape", r"expected \[9, 11, 13\], a value for each pixel of the images; got \[9, 10, 13\]"),
        ("float", "expected a mask of booleans or whole numbers"),
        ("negative", "expected classes from 0 to 255; got -1"),
        ("void", "got 0, 1, 255"),
        ("grey", "got 0, 100, 200; number the classes"),
        ("no masks", "expected train_masks beside train_images"),
        ("size", "4.png: expected a mask of 11x13, the size of the image; got 11x12"),
        ("missing", "3.png has no file of the same name in .*masks"),
        ("alone", "5.png has no file of the same name in .*images"),
        ("folder", "expected folders images and masks"),
        ("lossy", "0.jpg: is a format that changes values"),
        ("colours", "0.png: has 3 channels that differ"),
    ],
)
def test_mistakes_are_one_line(tmp_path, how, message):
    with pytest.raises(UserError, match=message):
        build(spoiled(tmp_path, how))


def test_values_that_the_training_masks_have_not(tmp_path):
    content = {"train_images": IMAGES, "train_masks": MASKS % 2, "test_images": IMAGES, "test_masks": MASKS}
    dataset = build_npz(tmp_path, content)
    with pytest.raises(UserError, match=r"test, mask 0: expected masks of the values 0, 1, .*; got 2 too"):
        dataset.test()


def test_tiles_are_no_larger_than_the_images(tmp_path):
    with pytest.raises(UserError, match=r"tile_size: expected tiles no larger than .* 11x13; got 12x13"):
        build_npz(tmp_path, {"images": IMAGES, "masks": MASKS}, tile_size=(12, 13))

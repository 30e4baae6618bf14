import numpy as np
import pytest
import tifffile

from experiments import data
from experiments.data import _build, _file_pixels
from experiments.errors import UserError
from tests.experiments.data.layouts.images import all_examples, write_folder, write_image


def test_deep_images_keep_their_depth(tmp_path):
    write_folder(tmp_path, suffix=".tif", size=(6, 6), channels=1, dtype=np.uint16)
    dataset = data.load_folder(str(tmp_path))
    images, _ = all_examples(dataset.test())
    low, high = dataset.preprocessing.value_range
    expected = [tifffile.imread(path) for path in dataset.test().pixels.paths]
    np.testing.assert_array_equal(np.rint(images[..., 0].astype(np.float64) * (high - low) + low), expected)
    assert len(np.unique(images)) > 256


def test_images_of_several_sizes_get_one_and_it_is_said(tmp_path):
    write_folder(tmp_path, size=(90, 70), classes=("a", "b"))
    write_image(tmp_path / "train" / "a" / "large.png", 1, size=(200, 120))
    dataset = data.load_folder(str(tmp_path))
    assert dataset.image_shape == (64, 64, 3)
    assert any("90x70 to 200x120 are read as 64x64" in note for note in dataset.notes)
    assert data.load_folder(str(tmp_path), image_size=(20, 30)).image_shape == (20, 30, 3)
    with pytest.raises(UserError, match=r"expected \(ROWS,COLUMNS\)"):
        data.load_folder(str(tmp_path), image_size=(20, 30, 40))


def test_the_default_size_is_one_that_the_network_takes(tmp_path):
    write_folder(tmp_path, size=(50, 50))
    multiple = data.load_folder(str(tmp_path), fits=lambda shape: None if shape[0] % 8 == 0 else "a multiple of 8")
    assert multiple.image_shape == (48, 48, 3)
    fixed = data.load_folder(str(tmp_path), fits=lambda shape: None if shape[0] == 61 else "61 only")
    assert fixed.image_shape == (61, 61, 3)
    with pytest.raises(UserError, match="never"):
        data.load_folder(str(tmp_path), fits=lambda shape: "never")


def test_grey_images_among_coloured_ones_are_repeated(tmp_path):
    write_folder(tmp_path, size=(6, 6))
    grey = write_image(tmp_path / "test" / "cat" / "grey.png", 5, size=(6, 6), channels=1)
    images, _ = all_examples(data.load_folder(str(tmp_path)).test())
    assert any((image == grey[..., None]).all() for image in images)


def test_pages_among_images_are_refused(tmp_path):
    write_folder(tmp_path, suffix=".tif", size=(6, 6), channels=1)
    tifffile.imwrite(tmp_path / "train" / "cat" / "9.tif", np.zeros((4, 6, 6), np.uint8), photometric="minisblack")
    with pytest.raises(UserError, match="mixes images and volumes"):
        data.load_folder(str(tmp_path))


def test_images_of_one_value_are_named(tmp_path):
    write_folder(tmp_path, size=(6, 6), channels=1, splits=("train", "validation", "test"))
    from PIL import Image

    Image.fromarray(np.full((6, 6), 9, np.uint8)).save(tmp_path / "train" / "dog" / "blank.png")
    assert any("blank.png" in note and "single value" in note for note in data.load_folder(str(tmp_path)).notes)


def test_moments_are_those_of_the_training_split_alone(tmp_path):
    write_folder(tmp_path, size=(6, 6))
    dataset = data.load_folder(str(tmp_path))
    images = all_examples(dataset.train)[0] / 255
    np.testing.assert_allclose(dataset.preprocessing.mean, images.mean((0, 1, 2)))
    np.testing.assert_allclose(dataset.preprocessing.deviation, images.std((0, 1, 2)))


def test_decoded_images_stay_in_memory_where_they_fit(tmp_path, monkeypatch):
    write_folder(tmp_path, size=(6, 6))
    kept = data.load_folder(str(tmp_path))
    first = all_examples(kept.train)[0]
    monkeypatch.setattr(_build, "fits_in_memory", lambda *_: False)
    read = data.load_folder(str(tmp_path))
    assert any("decoded again every epoch" in note for note in read.notes)
    np.testing.assert_array_equal(all_examples(read.train)[0], first)
    for path in (tmp_path / "train").rglob("*.png"):
        path.unlink()
    np.testing.assert_array_equal(all_examples(kept.train)[0], first)
    with pytest.raises(UserError, match="no such file"):
        all_examples(read.train)


def test_what_fits_depends_on_the_memory(monkeypatch):
    preprocessing = data.Preprocessing((10, 10), 1, "pad", "uint16")
    monkeypatch.setattr(_file_pixels, "available_memory", lambda: 4_000)
    assert _file_pixels.fits_in_memory(10, preprocessing)
    assert not _file_pixels.fits_in_memory(11, preprocessing)


def test_downscaled_files_are_means_of_squares(tmp_path):
    write_folder(tmp_path, size=(6, 6))
    whole, half = (data.load_folder(str(tmp_path), downscale=factor) for factor in (1, 2))
    expected = all_examples(whole.test())[0].reshape(8, 3, 2, 3, 2, 3).mean((2, 4)) / 255
    np.testing.assert_allclose(all_examples(half.test())[0], expected, rtol=1e-5)
    assert half.image_shape == half.preprocessing.image_shape == (3, 3, 3)


@pytest.mark.parametrize("task", ["classes", "multi_label"])
def test_class_weights_make_classes_count_alike(task):
    labels = np.repeat([0, 1, 2], [60, 30, 10])
    if task == "multi_label":
        labels = np.eye(3, dtype=int)[labels]
        np.testing.assert_allclose(data.class_weights(labels, 3, task), [40 / 60, 70 / 30, 9], rtol=1e-6)
        return
    weights = data.class_weights(labels, 4, task)
    np.testing.assert_allclose([weights[k] * (labels == k).sum() for k in range(3)], [100 / 3] * 3, rtol=1e-6)
    assert weights[labels].mean() == pytest.approx(1)
    assert weights[3] == 1

import numpy as np
import pytest
from PIL import Image

from experiments import data
from experiments.errors import UserError
from tests.experiments.data.layouts.images import all_examples, write_folder, write_image


@pytest.mark.parametrize("channels", [1, 3])
def test_folder_with_train_and_test(tmp_path, channels):
    write_folder(tmp_path, channels=channels)
    dataset = data.load_folder(str(tmp_path), num_validation=2)
    assert dataset.image_shape == (6, 5, channels)
    assert dataset.labels.names == ("cat", "dog")
    assert (len(dataset.train), len(dataset.validation), len(dataset.test())) == (6, 2, 8)
    assert sorted(all_examples(dataset.test())[1]) == [0] * 4 + [1] * 4


def test_images_of_one_small_size_keep_it(tmp_path):
    write_folder(tmp_path, size=(6, 6))
    dataset = data.load_folder(str(tmp_path))
    assert dataset.image_shape == (6, 6, 3)
    assert not any("read as" in note for note in dataset.notes)
    images, _ = all_examples(dataset.test())
    files = sorted((tmp_path / "test").rglob("*.png"), key=lambda path: (path.parent.name, path.name))
    np.testing.assert_array_equal(images, [np.asarray(Image.open(file)) for file in files])


@pytest.mark.parametrize("validation", ["validation", "val", "valid"])
def test_a_validation_folder_is_used(tmp_path, validation):
    write_folder(tmp_path, splits=("train", validation, "test"))
    dataset = data.load_folder(str(tmp_path))
    assert (len(dataset.train), len(dataset.validation), len(dataset.test())) == (8, 8, 8)


def test_without_split_folders_a_test_split_is_held_out_and_said(tmp_path):
    write_folder(tmp_path, splits=("",), count=16)
    dataset = data.load_folder(str(tmp_path), num_validation=4)
    assert (len(dataset.train), len(dataset.validation), len(dataset.test())) == (24, 4, 4)
    assert any("4 of 32 images are held out" in note for note in dataset.notes)
    everything = [all_examples(source)[0] for source in (dataset.train, dataset.validation, dataset.test())]
    assert len({image.tobytes() for part in everything for image in part}) == 32
    # In the proportion of the classes.
    assert np.bincount(data.labels_of(dataset.test())).tolist() == [2, 2]


def test_what_is_no_image_is_said(tmp_path):
    write_folder(tmp_path)
    (tmp_path / "train" / "cat" / "notes.txt").write_text("a note")
    (tmp_path / "train" / "cat" / ".hidden").write_text("a note")
    (tmp_path / "train" / "dog" / "slide.czi").write_text("a microscope's own format")
    notes = data.load_folder(str(tmp_path)).notes
    assert any("2 files of" in note and "1 .txt" in note and "1 .czi" in note for note in notes)


def test_numbers_as_class_names_are_in_their_order(tmp_path):
    write_folder(tmp_path, classes=("2", "10", "1"))
    assert data.load_folder(str(tmp_path)).labels.names == ("1", "2", "10")


def mistakes(folder, change):
    write_folder(folder)
    change(folder)
    dataset = data.load_folder(str(folder))
    dataset.test()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda folder: write_image(folder / "test" / "bird" / "1.png", 0), "has not: bird"),
        (lambda folder: (folder / "train" / "cat" / "9.png").write_bytes(b"no image"), r"9\.png: cannot be read"),
        (lambda folder: (folder / "test" / "cat" / "9.png").write_bytes(b""), r"9\.png: is empty"),
        (lambda folder: (folder / "train").rename(folder / "other"), "has test but no train"),
        (lambda folder: write_image(folder / "train" / "cat" / "deeper" / "1.png", 0), "in the place of an image"),
        (lambda folder: write_image(folder / "train" / "cat" / "9.tif", 0, dtype=np.uint16), "no common scale"),
        (lambda folder: write_image(folder / "test" / "cat" / "9.tif", 0, dtype=np.uint16), "no common scale"),
    ],
)
def test_mistakes_are_one_line(tmp_path, change, message):
    with pytest.raises(UserError, match=message) as caught:
        mistakes(tmp_path, change)
    assert "\n" not in str(caught.value)


def test_no_folder_and_no_images(tmp_path):
    with pytest.raises(UserError, match="there is no folder"):
        data.load_folder(str(tmp_path / "nowhere"))
    with pytest.raises(UserError, match="no images in"):
        data.load_folder(str(tmp_path))
    write_folder(tmp_path, classes=("cat",))
    with pytest.raises(UserError, match="at least two classes; got cat"):
        data.load_folder(str(tmp_path))

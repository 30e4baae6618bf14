import os
import pathlib

import numpy as np
import pytest

from experiments import data
from experiments.data import layouts
from experiments.data.layouts import _medmnist
from experiments.errors import UserError
from tests.experiments.data.layouts.images import all_examples

# A folder with the published file, which is not part of the repository.
ADRENAL = pathlib.Path(os.environ.get("MEDMNIST_DIR", "")) / "adrenalmnist3d.npz"


def arrays(splits=("train", "test"), shape=(8, 8), dtype=np.uint8, labels=lambda r, n: r.integers(0, 3, n), count=40):
    random = np.random.default_rng(0)
    result = {}
    for split in splits:
        result[f"{split}_images"] = (random.random((count, *shape)) * 255).astype(dtype)
        result[f"{split}_labels"] = labels(random, count)
    return result


def load(folder, content, **options):
    np.savez(folder / "mine.npz", **content)
    return data.load_npz(str(folder / "mine.npz"), **options)


def test_our_layout(tmp_path):
    content = arrays()
    dataset = load(tmp_path, content, num_validation=6)
    assert dataset.image_shape == (8, 8, 1)
    assert (len(dataset.train), len(dataset.validation), len(dataset.test())) == (34, 6, 40)
    np.testing.assert_array_equal(all_examples(dataset.test())[0][..., 0], content["test_images"])


def test_layout_of_medmnist_with_its_official_splits(tmp_path):
    content = arrays(("train", "val", "test"), labels=lambda r, n: r.integers(0, 3, (n, 1)).astype(np.uint8))
    dataset = load(tmp_path, content)
    np.testing.assert_array_equal(all_examples(dataset.validation)[0][..., 0], content["val_images"])
    np.testing.assert_array_equal(all_examples(dataset.train)[1], content["train_labels"][:, 0])


def test_layout_of_keras(tmp_path):
    content = arrays()
    renamed = {f"{'x' if 'images' in name else 'y'}_{name.split('_')[0]}": array for name, array in content.items()}
    assert load(tmp_path, renamed).image_shape == (8, 8, 1)


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((8, 8, 3), (8, 8, 3)),
        ((7, 8, 9), (7, 8, 9, 1)),
        ((7, 8, 9, 2), (7, 8, 9, 2)),
    ],
)
def test_a_volume_is_no_image_of_many_channels(tmp_path, shape, expected):
    assert load(tmp_path, arrays(shape=shape)).image_shape == expected


def test_spectral_images_say_what_they_are(tmp_path):
    assert load(tmp_path, {**arrays(shape=(8, 8, 31)), "spatial_dims": 2}).image_shape == (8, 8, 31)


@pytest.mark.parametrize("dtype", [np.uint16, np.int16, np.int32, np.float32, np.float64])
def test_value_range_is_known_and_kept(tmp_path, dtype):
    content = arrays(dtype=dtype)
    content["test_images"][0, 0, 0] = 300
    dataset = load(tmp_path, content)
    low, high = dataset.preprocessing.value_range
    train = np.concatenate([all_examples(split)[0] for split in (dataset.train, dataset.validation)])
    assert train.dtype == np.float32
    tested = all_examples(dataset.test())[0]
    np.testing.assert_allclose(tested[..., 0] * (high - low) + low, content["test_images"], rtol=1e-5, atol=1e-4)
    # A value that training has not seen lies outside, it is not clipped.
    assert tested.max() > 1


def test_floats_in_the_unit_interval_stay(tmp_path):
    content = arrays(dtype=np.float32)
    content = {name: array / 300 if "images" in name else array for name, array in content.items()}
    np.testing.assert_allclose(all_examples(load(tmp_path, content).test())[0][..., 0], content["test_images"])


def test_several_labels_and_one_hot_classes(tmp_path):
    several = load(tmp_path, arrays(labels=lambda r, n: r.integers(0, 2, (n, 4))))
    assert several.labels.task == "multi_label"
    assert all_examples(several.test())[1].shape == (40, 4)
    one_hot = load(tmp_path, arrays(labels=lambda r, n: np.eye(3, dtype=int)[r.integers(0, 3, n)]))
    assert one_hot.labels.task == "classes"
    assert all_examples(one_hot.test())[1].shape == (40,)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"test_images": np.zeros((0, 8, 8), np.uint8), "test_labels": np.zeros(0, int)}, "the split is empty"),
        ({"test_labels": np.zeros(5, int)}, "40 images and 5 labels"),
        ({"test_labels": np.full(40, 7)}, r"labels lie in 0 \.\. 2; got 7"),
        ({"train_labels": np.full(40, 0.5)}, "whole numbers"),
        ({"train_images": np.full((40, 8, 8), np.nan)}, "2,560 values are NaN"),
        ({"train_images": np.full((40, 8, 8), "a")}, "integers or floats"),
        ({"train_images": np.zeros((40, 8), np.uint8)}, "expected images"),
        ({"train_images": np.full((40, 8, 8), 9, np.uint16)}, "every pixel of every training image is 9"),
        ({"train_images": np.arange(2560).reshape(40, 8, 8) * 2**20}, "more than float32 tells apart"),
        ({"train_labels": np.zeros((40, 2, 2))}, "expected labels"),
        ({"test_images": np.zeros((40, 8, 8), np.uint16)}, "no common scale"),
    ],
)
def test_mistakes_are_one_line(tmp_path, change, message):
    with pytest.raises(UserError, match=message) as caught:
        load(tmp_path, {**arrays(), **change}).test()
    assert "\n" not in str(caught.value)


def test_missing_and_damaged_files(tmp_path):
    with pytest.raises(UserError, match="which is no file"):
        data.load_npz(str(tmp_path / "nowhere.npz"))
    content = arrays()
    content.pop("train_labels")
    with pytest.raises(UserError, match="has no array train_labels; it has train_images"):
        load(tmp_path, content)
    np.savez(tmp_path / "mine.npz", **arrays())
    whole = (tmp_path / "mine.npz").read_bytes()
    for length in (0, 10, len(whole) // 2, len(whole) - 5):
        (tmp_path / "mine.npz").write_bytes(whole[:length])
        with pytest.raises(UserError, match=r"cannot be read as \.npz"):
            data.load_npz(str(tmp_path / "mine.npz"))


def test_a_published_set_by_name(tmp_path, monkeypatch):
    content = arrays(("train", "val", "test"), labels=lambda r, n: r.integers(0, 5, (n, 1)))
    np.savez(tmp_path / "retinamnist.npz", **content)
    with pytest.raises(
        UserError, match=r"expected MD5 bd4c0672f1bba3e3a89f0e4e876791e4; got .*; download https://zenodo"
    ):
        data.load_medmnist("retinamnist", str(tmp_path))
    import hashlib

    md5 = hashlib.md5((tmp_path / "retinamnist.npz").read_bytes()).hexdigest()
    monkeypatch.setitem(_medmnist.MEDMNIST, "retinamnist", _medmnist.Published(md5, "0|1|2|3|4", "ordinal"))
    dataset = data.load_medmnist("retinamnist", str(tmp_path))
    assert dataset.labels == data.LabelNames(tuple("01234"), "ordinal")
    with pytest.raises(UserError, match=r"download https://zenodo.*chestmnist\.npz.* \(MD5 02c8a651"):
        data.load_medmnist("chestmnist", str(tmp_path))
    assert len(layouts.MEDMNIST) == 18


@pytest.mark.skipif(not ADRENAL.is_file(), reason="MEDMNIST_DIR holds no adrenalmnist3d.npz")
@pytest.mark.parametrize("by_name", [True, False])
def test_the_published_adrenal_shapes(by_name):
    dataset = data.load_medmnist("adrenalmnist3d", str(ADRENAL.parent)) if by_name else data.load_npz(str(ADRENAL))
    assert dataset.image_shape == (28, 28, 28, 1)
    assert (len(dataset.train), len(dataset.validation), len(dataset.test())) == (1188, 98, 298)
    assert dataset.labels.names == (("normal", "hyperplasia") if by_name else ("0", "1"))

import gzip
import hashlib
import struct
import sys
import zipfile

import numpy as np
import pytest

from experiments import data
from experiments.config import default_config
from experiments.data import _mnist, _rotmnist
from experiments.errors import UserError


def fake_mnist(num_train=60, num_test=10, seed=0):
    generator = np.random.default_rng(seed)
    return {
        "train_images": generator.integers(0, 256, (num_train, 28, 28), np.uint8),
        "train_labels": generator.integers(0, 10, num_train).astype(np.uint8),
        "test_images": generator.integers(0, 256, (num_test, 28, 28), np.uint8),
        "test_labels": generator.integers(0, 10, num_test).astype(np.uint8),
    }


def write_idx(path, array):
    header = struct.pack(">HBB", 0, 8, array.ndim) + struct.pack(f">{array.ndim}I", *array.shape)
    content = header + array.tobytes()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)


def all_examples(source):
    batch = source.fetch(np.arange(len(source)))
    return batch["image"], batch["label"]


def test_digits_are_split_by_image_and_the_split_is_fixed_by_its_seed():
    first, again = (data.load_digits(num_validation=180, seed=0) for _ in range(2))
    other = data.load_digits(num_validation=180, seed=1)
    assert (len(first.train), len(first.validation), len(first.test())) == (1257, 180, 360)
    np.testing.assert_array_equal(all_examples(first.test())[0], all_examples(again.test())[0])
    assert not np.array_equal(all_examples(first.test())[1], all_examples(other.test())[1])


def test_training_digits_are_upright_and_held_out_ones_are_turned():
    from sklearn.datasets import load_digits

    upright = {image.tobytes() for image in (load_digits().images / 16).astype(np.float32)}
    dataset = data.load_digits(num_validation=180, seed=0)
    assert all(image.tobytes() in upright for image in all_examples(dataset.train)[0])
    assert not any(image.tobytes() in upright for image in all_examples(dataset.test())[0])
    assert not any(image.tobytes() in upright for image in all_examples(dataset.validation)[0])


@pytest.mark.parametrize("layout", ["npz", "keras npz", "idx", "idx.gz"])
def test_mnist_is_read_in_every_layout(tmp_path, layout):
    arrays = fake_mnist()
    if layout.endswith("npz"):
        names = _mnist.KEYS if layout == "keras npz" else {key: key for key in arrays}
        np.savez(tmp_path / "mnist.npz", **{names[key]: array for key, array in arrays.items()})
    else:
        for key, name in _mnist.IDX_FILES.items():
            write_idx(tmp_path / f"{name}{'.gz' if layout.endswith('gz') else ''}", arrays[key])
    read = _mnist.load_mnist(str(tmp_path))
    for key, array in arrays.items():
        np.testing.assert_array_equal(read[key], array)


def damage_truncated_npz(folder):
    np.savez(folder / "mnist.npz", **fake_mnist())
    content = (folder / "mnist.npz").read_bytes()
    (folder / "mnist.npz").write_bytes(content[: len(content) // 2])


def damage_missing_array(folder):
    np.savez(folder / "mnist.npz", train_images=np.zeros((1, 28, 28), np.uint8))


def damage_size(folder):
    np.savez(folder / "mnist.npz", **{**fake_mnist(), "train_images": np.zeros((60, 14, 14), np.uint8)})


def damage_labels(folder):
    np.savez(folder / "mnist.npz", **{**fake_mnist(), "test_labels": np.full(10, 11)})


def damage_truncated_idx(folder):
    for key, name in _mnist.IDX_FILES.items():
        write_idx(folder / name, fake_mnist()[key])
    path = folder / "train-images-idx3-ubyte"
    path.write_bytes(path.read_bytes()[:-5])


def damage_missing_idx(folder):
    write_idx(folder / "train-images-idx3-ubyte", fake_mnist()["train_images"])


def damage_archive(folder):
    (folder / _rotmnist.ARCHIVE).write_bytes(b"not the archive")


def damage_too_few(folder):
    np.savez(folder / "mnist.npz", **fake_mnist())


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (damage_truncated_npz, "truncated"),
        (damage_missing_array, "expected array train_labels"),
        (damage_size, "28x28"),
        (damage_labels, r"expected labels in 0 \.\. 9; got 0 \.\. 11|expected labels in 0 \.\. 9; got 11"),
        (damage_truncated_idx, "by the IDX header"),
        (damage_missing_idx, r"train-labels-idx1-ubyte, .* is missing"),
        (damage_archive, r"expected MD5 0f9a947f.* got"),
        (damage_too_few, "expected 62000 digits of MNIST; got 70"),
        (lambda folder: None, "curl .*/mnist.npz"),
    ],
)
def test_unusable_rotmnist_is_explained(tmp_path, damage, message):
    damage(tmp_path)
    with pytest.raises(UserError, match=message) as caught:
        data.load_rotmnist(str(tmp_path), num_validation=2000, seed=0)
    assert "\n" not in str(caught.value)


def test_regenerated_splits_share_no_digit_and_depend_on_the_seed_alone(monkeypatch):
    monkeypatch.setattr(_rotmnist, "SIZES", {"train": 40, "test": 30})
    mnist = fake_mnist()
    # A label of its own for every digit, to recognise it by.
    mnist["train_labels"], mnist["test_labels"] = np.arange(60), np.arange(60, 70)
    train, test = (_rotmnist.regenerate(mnist, split, seed=3) for split in ("train", "test"))
    assert sorted([*train[1], *test[1]]) == list(range(70))
    assert train[0].shape == (40, 28, 28, 1)
    assert train[0].dtype == np.uint8
    np.testing.assert_array_equal(train[0], _rotmnist.regenerate(mnist, "train", seed=3)[0])
    assert not np.array_equal(train[1], _rotmnist.regenerate(mnist, "train", seed=4)[1])


def test_regenerated_digits_are_turned_about_their_centre(monkeypatch):
    monkeypatch.setattr(_rotmnist, "SIZES", {"train": 40, "test": 30})
    mnist = fake_mnist()
    row, column = np.mgrid[:28, :28] - 13.5
    disc = np.where(row**2 + column**2 < 80, 200, 0).astype(np.uint8)
    mnist["train_images"][:], mnist["test_images"][:] = disc, disc
    images, _ = _rotmnist.regenerate(mnist, "train", seed=0)
    # Away from its edge a disc looks the same from everywhere.
    inside = np.abs(np.hypot(row, column) - np.sqrt(80)) > 2
    np.testing.assert_array_equal(images[:, inside, 0], np.broadcast_to(disc[inside], (40, inside.sum())))


def amat(num, seed=0):
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, 10, num)
    pixels = generator.integers(0, 256, (num, 784)) / 255
    return "\n".join(
        " ".join(f"{value:.6f}" for value in [*row, label]) for row, label in zip(pixels, labels, strict=True)
    )


def test_official_files_are_read_from_the_archive_and_unpacked(tmp_path, monkeypatch):
    monkeypatch.setattr(_rotmnist, "SIZES", {"train": 12, "test": 7})
    archive = tmp_path / _rotmnist.ARCHIVE
    with zipfile.ZipFile(archive, "w") as content:
        content.writestr(_rotmnist.AMAT["train"], amat(12))
        content.writestr(_rotmnist.AMAT["test"], amat(7, seed=1))
    monkeypatch.setattr(_rotmnist, "ARCHIVE_MD5", hashlib.md5(archive.read_bytes()).hexdigest())
    packed = data.load_rotmnist(str(tmp_path), num_validation=4, seed=0)
    assert (len(packed.train), len(packed.validation), len(packed.test())) == (8, 4, 7)

    with zipfile.ZipFile(archive) as content:
        content.extractall(tmp_path / "unpacked")
    unpacked = data.load_rotmnist(str(tmp_path / "unpacked"), num_validation=4, seed=0)
    for one, other in zip(all_examples(packed.test()), all_examples(unpacked.test()), strict=True):
        np.testing.assert_array_equal(one, other)
    images, _ = _rotmnist.parse_amat(amat(12).encode(), name="file.amat", size=12)
    first = np.asarray(amat(12).splitlines()[0].split()[:-1], float)
    np.testing.assert_array_equal(images[0, 5, 20, 0], np.rint(255 * first[20 * 28 + 5]))  # column by column
    with pytest.raises(UserError, match="expected 13 lines of 785"):
        _rotmnist.parse_amat(amat(12).encode(), name="file.amat", size=13)


def test_a_set_that_is_not_prepared_comes_with_its_command(tmp_path):
    with pytest.raises(UserError, match=r"experiments\.data\.prepare cifar10"):
        data.load_tfds("cifar10", str(tmp_path), num_validation=10, seed=0)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"dataset": "digit"}, "did you mean digits"),
        ({"dataset": "medmnist:adrenal"}, "MedMNIST has no 'adrenal'"),
        ({"dataset": "tfds:/"}, "expected the name of a set, such as mnist; got '/'"),
        ({"dataset": "tfds:a/../.."}, "expected the name of a set"),
        ({"image_size": (8,)}, "image_size: expected a size for each of the axes"),
        ({"num_train": 5000}, "expected at most 1257 examples; got a request for 5000"),
    ],
)
def test_data_that_cannot_be_had(fields, message):
    config = default_config()
    config.update(fields)
    with pytest.raises(UserError, match=message):
        data.load_dataset(config)


def test_data_that_do_not_fit_the_network_say_why():
    with pytest.raises(UserError, match=r"digits, images of \[8, 8, 1\]: too small, 10 classes"):
        data.load_dataset(default_config(), network=lambda shape, classes: f"too small, {classes} classes")


def test_published_images_take_another_size_and_are_measured():
    config = default_config()
    config.image_size = (12, 12)
    dataset = data.load_dataset(config)
    assert dataset.image_shape == dataset.preprocessing.image_shape == (12, 12, 1)
    assert dataset.labels.names == tuple("0123456789")
    images = all_examples(dataset.train)[0]
    assert dataset.preprocessing.mean == pytest.approx((images.mean(),), abs=1e-5)
    assert dataset.preprocessing.deviation == pytest.approx((images.std(),), abs=1e-5)


def test_rotated_mnist_is_prepared_and_read_through_tfds_without_tensorflow(tmp_path, monkeypatch):
    pytest.importorskip("importlib_resources", reason="TFDS needs it to prepare a set")
    from experiments.data import prepare

    monkeypatch.setattr(_rotmnist, "SIZES", {"train": 40, "test": 30})
    np.savez(tmp_path / "mnist.npz", **fake_mnist())
    regenerated = data.load_rotmnist(str(tmp_path), num_validation=4, seed=0).test()
    prepare.main(["rotated_mnist", f"--data_dir={tmp_path}"])
    (tmp_path / "mnist.npz").unlink()
    prepared = data.load_rotmnist(str(tmp_path), num_validation=4, seed=0)
    assert (len(prepared.train), len(prepared.validation)) == (36, 4)

    def as_set(source):
        return sorted((image.tobytes(), int(label)) for image, label in zip(*all_examples(source), strict=True))

    assert as_set(prepared.test()) == as_set(regenerated)
    assert "tensorflow" not in sys.modules


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_downscaled_images_are_means_of_squares_and_turn_with_the_image(dtype):
    images = np.random.default_rng(0).integers(0, 256, (3, 6, 6, 2)).astype(dtype)
    images = images if dtype == np.uint8 else images / np.float32(255)
    labels = np.arange(3)
    small, _ = all_examples(data.Downscaled(data.ArraySource(images, labels), 2))
    scale = 255 if dtype == np.uint8 else 1
    assert small.shape == (3, 3, 3, 2)
    np.testing.assert_allclose(small[1, 2, 0], images[1, 4:6, 0:2].reshape(4, 2).mean(0) / scale, rtol=1e-6)
    turned, _ = all_examples(data.Downscaled(data.ArraySource(np.rot90(images, axes=(1, 2)), labels), 2))
    np.testing.assert_allclose(turned, np.rot90(small, axes=(1, 2)), rtol=1e-6)
    with pytest.raises(UserError, match="downscale: expected a divisor of every side, 6 and 6; got 4"):
        data.Downscaled(data.ArraySource(images, labels), 4)

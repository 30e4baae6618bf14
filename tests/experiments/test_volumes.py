"""Volumes from the data to the pictures: one run of a small attentive network for the rotations of the cube."""

import json

import jax
import numpy as np
import pytest
from PIL import Image

from experiments import predict
from experiments.config import default_config
from experiments.config.overrides import override
from experiments.results.printing import summary_lines
from experiments.training.run import run
from experiments.visualize import __main__ as visualize

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    """Volumes of 8x8x8 with one bright corner, or two."""
    path = tmp_path_factory.mktemp("data") / "volumes.npz"
    random = np.random.default_rng(0)
    arrays = {}
    for split, count in (("train", 24), ("val", 8), ("test", 8)):
        labels = np.arange(count) % 2
        volumes = random.integers(0, 80, (count, 8, 8, 8))
        volumes[:, 1:3, 1:3, 1:3] += 150
        volumes[labels == 1, 5:7, 5:7, 1:3] += 150
        arrays |= {f"{split}_images": volumes.astype(np.uint8), f"{split}_labels": labels}
    np.savez(path, **arrays)
    return path


def finished(file, folder, model, **overrides):
    config = default_config()
    config.model, config.z2_model = model, ""
    config.dataset, config.data_dir = "npz", str(file)
    config.augmentation, config.augmentation_group = ("random_symmetry",), "full_octahedral"
    config.batch_size, config.num_epochs, config.equivariance_images = 8, 1, 2
    for name, value in overrides.items():
        override(config, f"model_overrides.{name}", value)
    # Third-party training code is written for JAX's standard promotion rules.
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        return run(config, folder)


@pytest.fixture(scope="module")
def attentive(file, tmp_path_factory):
    folder = tmp_path_factory.mktemp("attentive")
    return folder, finished(file, folder, "volume_alpha_f_octahedral_cnn", features="(1,2)", layers_per_stage="(1,1)")


def test_the_summary_shows_that_permuted_and_flipped_volumes_have_the_same_logits(attentive):
    folder, result = attentive
    assert len(result["equivariance"]["elements"]) == 24
    assert max(result["equivariance"]["relative"]) < 1e-5
    assert len(set(result["quarter_turn_accuracy"])) == 1
    lines = dict(summary_lines(result, folder))
    assert "under 24 permutations and flips of the axes, octahedral" in lines["largest change of any logit"]
    assert "at 0, 90, 180, 270 degrees in the slices" in lines


def test_pictures_of_volumes_are_slices(attentive):
    folder, _ = attentive
    for name in ("predictions", "feature_maps", "confusion", "learning_curve"):
        assert np.asarray(Image.open(folder / f"{name}.png").convert("L")).std() > 5


def test_attention_of_an_attentive_network(attentive, capsys):
    folder, _ = attentive
    visualize.main(["attention", "--workdir", str(folder), "--out", str(folder / "pictures")])
    caption = capsys.readouterr().out
    assert "slices along the depth (d), the columns (c) and the rows (r), and the maximum along the depth" in caption
    measured = json.loads((folder / "pictures" / "attention.json").read_text())
    assert len(measured["elements"]) == 6
    assert measured["layers"]
    assert all(layer["largest"] < 1e-5 for layer in measured["layers"])
    assert (folder / "pictures" / "features.png").exists()
    assert not (folder / "pictures" / "attention.gif").exists()


def test_attention_of_one_query(file, tmp_path, capsys):
    finished(
        file,
        tmp_path / "run",
        "volume_p4m_sa",
        features="6",
        num_heads="1",
        qkv_features="6",
        pool_input="False",
    )
    arguments = ["attention", "--workdir", str(tmp_path / "run"), "--out", str(tmp_path), "--query", "1,2,2"]
    visualize.main(arguments)
    assert "query, at (1, 2, 2)" in capsys.readouterr().out
    measured = json.loads((tmp_path / "attention.json").read_text())
    assert measured["query"] == [1, 2, 2]
    assert all(layer["largest"] < 1e-5 for layer in measured["layers"])


def test_predictions_of_a_stack_of_slices_and_of_the_stack_turned(attentive, file, tmp_path):
    folder, _ = attentive
    volume = np.load(file)["test_images"][1]
    paths = []
    for name, stack in (("upright", volume), ("turned", np.rot90(volume, axes=(0, 2)))):
        paths.append(tmp_path / f"{name}.tif")
        first, *others = (Image.fromarray(np.ascontiguousarray(page)) for page in stack)
        first.save(paths[-1], save_all=True, append_images=others)
    rows, _ = predict.predict_files(folder, paths)
    upright, other = ([*row["probabilities"].values()] for row in rows)
    np.testing.assert_allclose(upright, other, atol=1e-5)

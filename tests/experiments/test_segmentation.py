"""Segmentation from the data to the masks of new images: one run of a small U-Net for two seeds, on images of odd sizes."""

import json

import jax
import numpy as np
import pytest
from PIL import Image

from experiments import evaluate, predict
from experiments.config import default_config
from experiments.predict_masks import predict_masks
from experiments.results import logs, summary
from experiments.results.printing import summary_lines
from experiments.training.run import run

pytestmark = pytest.mark.slow


def write_cells(folder):
    """Bright boxes on noise, of several odd and even sizes."""
    random = np.random.default_rng(0)
    for split, count in (("train", 6), ("val", 2), ("test", 3)):
        for index in range(count):
            shape = (21 + index % 3, 18 - index % 2)
            mask = np.zeros(shape, np.uint8)
            row, column = random.integers(2, 10, 2)
            mask[row : row + 8, column : column + 5] = 255
            image = (mask // 2 + random.integers(0, 90, shape)).astype(np.uint8)
            for kind, pixels in (("images", image), ("masks", mask)):
                (folder / split / kind).mkdir(parents=True, exist_ok=True)
                Image.fromarray(pixels).save(folder / split / kind / f"{index}.png")


def configuration(folder, **fields):
    config = default_config()
    config.dataset, config.data_dir, config.model = "folder", str(folder), "unet_p4m"
    config.model_overrides = {"features": 2, "depth": 1}
    config.tile_size, config.tiles_per_epoch, config.batch_size = (12, 12), 16, 4
    config.num_epochs, config.num_seeds, config.warmup_epochs = 2, 2, 0.0
    config.class_weights, config.equivariance_images = "balanced", 2
    config.update(fields)
    return config


def train(config, workdir):
    # Third-party training code is written for JAX's standard promotion rules.
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        return run(config, workdir)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder, workdir = tmp_path_factory.mktemp("cells"), tmp_path_factory.mktemp("run")
    write_cells(folder)
    return folder, workdir, train(configuration(folder), workdir)


def test_the_trained_segmentation_moves_with_the_image(finished):
    _, workdir, result = finished
    assert result["task"] == "segmentation"
    assert result["equivariance"]["elements"] == list(range(8))
    assert max(result["equivariance"]["relative"]) < 1e-5
    assert result["equivariance"]["changed_pixels"] == [0.0] * 8
    assert np.ptp(result["quarter_turn_dice"]) < 1e-6
    lines = dict(summary_lines(result, workdir))
    assert "Dice in tiles at 0, 90, 180, 270 degrees" in lines
    assert "dice of 255" in lines


def test_the_summary_the_log_and_the_pictures(finished):
    _, workdir, result = finished
    assert result["num_train"] == 6
    assert result["num_test"] == 3
    assert np.sum(result["confusion_matrix"]) == 2 * (21 * 18 + 22 * 17 + 23 * 18)
    assert set(result["test_metrics"]) >= {"dice", "iou", "accuracy", "auc", "hausdorff", "iou_of_255"}
    epochs = [record for record in logs.read_metrics(workdir) if record["kind"] == "epoch"]
    best = max(epochs, key=lambda record: record["validation_dice"])
    assert result["best_epoch"] == best["epoch"]
    for name in ("segmentations", "learning_curve", "feature_maps"):
        assert np.asarray(Image.open(workdir / f"{name}.png").convert("L")).std() > 5


def test_predicted_masks_are_those_of_the_evaluation(finished, tmp_path, capsys):
    folder, workdir, result = finished
    predict.main([str(workdir), str(folder / "test" / "images"), "--output", str(tmp_path), "--probabilities"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "file,mask,0,255,error"
    both, either = 0, 0
    for index in range(3):
        truth = np.asarray(Image.open(folder / "test" / "masks" / f"{index}.png")) > 0
        mask = np.asarray(Image.open(tmp_path / f"{index}.png"))
        assert mask.shape == truth.shape
        saved = np.load(tmp_path / f"{index}.npz")["probabilities"]
        np.testing.assert_array_equal(saved.argmax(-1), mask)
        both, either = both + np.sum(truth & (mask == 1)), either + np.sum(truth | (mask == 1))
    of_first_seed = evaluate.evaluate(workdir)
    assert of_first_seed["metrics"]["iou_of_255"]["value"] == pytest.approx(both / either)
    # Means over both seeds, of which predictions show the first.
    first = result["test_accuracy_by_seed"][0]
    assert of_first_seed["metrics"]["accuracy"]["value"] == pytest.approx(first, abs=1e-6)
    of_set = evaluate.evaluate(workdir, str(folder), split="test")
    assert of_set["metrics"] == of_first_seed["metrics"]


@pytest.mark.parametrize("options", [{"tile_size": 24}, {"over_group": "own"}])
def test_tiles_and_averages_over_the_group_are_the_whole_image(finished, tmp_path, options):
    _, workdir, _ = finished
    large = np.random.default_rng(0).integers(0, 256, (61, 37), np.uint8)
    Image.fromarray(large).save(tmp_path / "large.png")
    Image.fromarray(np.rot90(large).copy()).save(tmp_path / "turned.png")
    files = [tmp_path / "large.png", tmp_path / "turned.png"]
    found = []
    for name, chosen in (("whole", {}), ("other", options)):
        predict_masks(workdir, files, tmp_path / name, probabilities=True, **chosen)
        found.append([np.load(tmp_path / name / f"{each.stem}.npz")["probabilities"] for each in files])
    np.testing.assert_allclose(found[1][0], found[0][0], atol=1e-5)
    np.testing.assert_allclose(found[1][1], np.rot90(found[0][0]), atol=1e-5)


def test_a_stopped_run_resumes_to_the_same_weights(finished, tmp_path):
    folder, _, _ = finished
    fields = {"num_seeds": 1, "schedule": "constant", "model": "unet_z2"}
    whole = train(configuration(folder, **fields), tmp_path / "whole")
    train(configuration(folder, **fields, num_epochs=1), tmp_path / "parts")
    parts = train(configuration(folder, **fields), tmp_path / "parts")
    assert parts is not None
    assert whole is not None
    assert parts["test_metrics"] == whole["test_metrics"]


def test_mistakes_are_one_line(finished, tmp_path, capsys):
    folder, workdir, _ = finished
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(tmp_path / "colour.png")
    with pytest.raises(SystemExit):
        predict.main([str(workdir), str(tmp_path), "--output", str(tmp_path / "masks")])
    captured = capsys.readouterr()
    assert "1 of 1 files could not be read" in captured.err
    assert "has 3 channels; expected 1" in captured.out
    same = [str(folder / split / "images" / "0.png") for split in ("train", "test")]
    with pytest.raises(SystemExit):
        predict.main([str(workdir), *same])
    assert "have one name" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        predict.main([str(workdir), same[0], "--tile_size", "9", "--output", str(tmp_path / "masks")])
    assert "tile_size: expected a multiple of 2" in capsys.readouterr().err


def test_the_preprocessing_of_the_run_is_that_of_its_data(finished):
    _, workdir, _ = finished
    plain, kept = json.loads((workdir / "preprocessing.json").read_text()), summary.load(workdir)
    assert plain["task"] == "segmentation"
    assert plain["sizes"] == [12, 12]
    assert kept is not None
    assert kept["class_names"] == ["0", "255"]

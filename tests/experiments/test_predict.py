"""A finished run predicts new files as it evaluated its own, whichever way they lie."""

import csv
import dataclasses
import json
import sys

import numpy as np
import pytest
from PIL import Image

from experiments import evaluate, predict
from experiments.config import default_config
from experiments.errors import UserError
from experiments.results import collecting, inputs, logs, summary
from experiments.runs import load_run
from experiments.trained.probabilities import averaging_group, probability_function
from experiments.training import labelled
from experiments.training.run import run
from gequi_jax.actions import act_on_grid
from gequi_jax.groups import group_by_name
from tests.experiments.conftest import quick_results


def write_cells(folder, count=14, side=10):
    """Bright and dark discs of several sizes, as 16-bit TIFF files."""
    tifffile = pytest.importorskip("tifffile")
    random = np.random.default_rng(0)
    for split in ("train", "test"):
        for name, level in (("bright", 3000), ("dark", 800)):
            (folder / split / name).mkdir(parents=True)
            for index in range(count):
                pixels = random.normal(level, 300, (side, side + index % 3)).clip(0, 65535).astype(np.uint16)
                tifffile.imwrite(folder / split / name / f"{index}.tif", pixels)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A run on 16-bit images of several sizes, its folder of images, and its logits of the test split."""
    import jax

    folder, workdir = tmp_path_factory.mktemp("cells"), tmp_path_factory.mktemp("run")
    write_cells(folder)
    config = default_config()
    config.dataset, config.data_dir, config.num_epochs, config.num_seeds = "folder", str(folder), 6, 2
    # Without attention, which takes longer to compile.
    config.model = "cifar10_p4_all_cnn"
    config.image_size, config.model_overrides.features, config.equivariance_images = (8, 8), 4, 4
    # With dropout of half of four features, every relu of the last layer may die.
    config.model_overrides.dropout_rate = 0.1
    config.batch_size, config.warmup_epochs, config.learning_rate = 4, 0.0, 3e-3
    config.best_metric, config.class_weights, config.sampling = "auc", "balanced", "balanced"
    config.augmentation = ("random_symmetry", "random_brightness")
    logits = []
    measure = labelled.test_metrics
    with (
        pytest.MonkeyPatch.context() as patch,
        jax.numpy_dtype_promotion("standard"),
        jax.numpy_rank_promotion("allow"),
    ):
        quick_results(patch.setattr)
        patch.setattr(labelled, "test_metrics", lambda *values: logits.append(values[0]) or measure(*values))
        run(config, workdir)
    return workdir, folder, logits[0]


def probabilities_of(rows):
    return np.asarray([list(row["probabilities"].values()) for row in rows])


def softmax(logits):
    shifted = np.exp(logits - logits.max(-1, keepdims=True))
    return shifted / shifted.sum(-1, keepdims=True)


def test_the_run_took_its_sizes_and_classes_from_the_data(finished):
    workdir, _, _ = finished
    restored = load_run(workdir)
    assert restored.image_shape == (8, 8, 1)
    assert restored.labels.names == ("bright", "dark")
    assert restored.preprocessing.dtype == "uint16"
    result = summary.load(workdir)
    assert result["class_names"] == ["bright", "dark"]
    assert result["test_reads"] == 1
    assert result["test_metrics"]["auc"]["value"] is not None


@pytest.mark.parametrize("over_seeds", [False, True])
def test_predictions_are_those_of_the_evaluation(finished, over_seeds):
    workdir, folder, logits = finished
    rows, _ = predict.predict_files(
        workdir, predict.find_images([str(folder / "test")]), batch_size=5, over_seeds=over_seeds
    )
    expected = softmax(logits).mean(0) if over_seeds else softmax(logits[0])
    np.testing.assert_allclose(probabilities_of(rows), expected, atol=1e-6)


@pytest.mark.parametrize("over_group", [None, "own"])
def test_an_image_and_its_quarter_turns_get_the_same_probabilities(finished, tmp_path, over_group):
    import tifffile

    workdir, folder, _ = finished
    pixels = tifffile.imread(folder / "test" / "dark" / "1.tif")
    assert pixels.shape[0] != pixels.shape[1]
    for turns in range(4):
        tifffile.imwrite(tmp_path / f"{turns}.tif", np.rot90(pixels, turns).copy())
    tifffile.imwrite(tmp_path / "another.tif", pixels + np.uint16(2200))
    rows, _ = predict.predict_files(workdir, predict.find_images([str(tmp_path)]), over_group=over_group)
    upright = probabilities_of(rows[:1])
    np.testing.assert_allclose(probabilities_of(rows[:4]), np.repeat(upright, 4, 0), atol=1e-6)
    assert np.abs(probabilities_of(rows[4:]) - upright).max() > 1e-4


def test_an_average_over_more_turns_is_that_of_the_turned_images(finished, tmp_path):
    import tifffile

    workdir, folder, _ = finished
    pixels = tifffile.imread(folder / "test" / "dark" / "0.tif")
    tifffile.imwrite(tmp_path / "0.tif", pixels)
    rows, _ = predict.predict_files(workdir, [tmp_path / "0.tif"], over_group="r8")
    trained, group = load_run(workdir), group_by_name("r8")
    image = trained.preprocessing.to_unit_range(trained.preprocessing.read(tmp_path / "0.tif")[None])
    turned = [act_on_grid(element, image, group=group) for element in range(8)]
    expected = np.mean([softmax(trained.model(trained.normalize(each))) for each in turned], axis=0)
    np.testing.assert_allclose(probabilities_of(rows), expected, atol=1e-6)
    plain, _ = predict.predict_files(workdir, [tmp_path / "0.tif"])
    assert np.abs(probabilities_of(rows) - probabilities_of(plain)).max() > 1e-5
    # Of integers too, which cannot be interpolated.
    integers = np.random.default_rng(0).integers(0, 256, (2, 8, 8, 1), np.uint8)
    average = probability_function([trained], over_group="r8")
    np.testing.assert_allclose(average(integers), average(integers / np.float32(255)), atol=1e-6)


def test_an_average_over_turns_of_oblong_images_is_refused(finished):
    trained = load_run(finished[0])
    oblong = dataclasses.replace(trained, preprocessing=dataclasses.replace(trained.preprocessing, sizes=(8, 6)))
    assert averaging_group(oblong, "p2")[1] == range(2)
    with pytest.raises(UserError, match=r"keeps the shape of images \[8, 6, 1\]; its element 1 makes them \[6, 8, 1\]"):
        averaging_group(oblong, "p4")


@pytest.mark.parametrize("name", ["p5m5", "octahedral"])
def test_an_average_over_no_group_of_images_is_one_line(finished, name, capsys):
    reads = (finished[0] / inputs.TEST_READS).read_text()
    with pytest.raises(SystemExit) as caught:
        evaluate.main([str(finished[0]), "--over_group", name])
    assert caught.value.code == 2
    assert (finished[0] / inputs.TEST_READS).read_text() == reads
    assert f"--over_group {name}: group name: expected" in capsys.readouterr().err


def test_files_that_cannot_be_read_get_a_row_that_says_why(finished, tmp_path, capsys):
    workdir, folder, _ = finished
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(tmp_path / "shallow.png")
    (tmp_path / "empty.tif").write_bytes(b"")
    good = folder / "test" / "dark" / "0.tif"
    arguments = [str(workdir), str(tmp_path), str(good), "--output", str(tmp_path / "out.csv")]
    with pytest.raises(SystemExit) as caught:
        predict.main(arguments)
    assert caught.value.code == 2
    assert "2 of 3 files could not be read" in capsys.readouterr().err
    rows = list(csv.DictReader((tmp_path / "out.csv").read_text().splitlines()))
    assert [bool(row["error"]) for row in rows] == [True, True, False]
    assert float(rows[2]["bright"]) + float(rows[2]["dark"]) == pytest.approx(1)
    assert rows[2]["prediction"] in ("bright", "dark")


def test_json_and_the_terminal(finished, tmp_path, capsys):
    workdir, folder, _ = finished
    image = str(folder / "test" / "dark" / "0.tif")
    predict.main([str(workdir), image, "--output", str(tmp_path / "out.json")])
    (row,) = json.loads((tmp_path / "out.json").read_text())
    assert set(row) == {"file", "prediction", "probabilities"}
    capsys.readouterr()
    predict.main([str(workdir), image])
    header, line = capsys.readouterr().out.splitlines()
    assert header == "file,prediction,bright,dark,error"
    assert float(line.split(",")[2]) == pytest.approx(row["probabilities"]["bright"])


def test_evaluation_on_a_set_and_on_the_test_split(finished, capsys, tmp_path):
    workdir, folder, _ = finished
    of_set = evaluate.evaluate(workdir, str(folder), split="test", batch_size=5)
    again = evaluate.evaluate(workdir)
    assert of_set["num_images"] == 28
    # Of other batches, so up to round-off.
    for name, metric in of_set["metrics"].items():
        assert metric["value"] == pytest.approx(again["metrics"][name]["value"], abs=1e-6)
    assert again["test_reads"] == 2
    held_out = evaluate.evaluate(workdir, split="validation")
    best = next(
        record
        for record in logs.read_metrics(workdir)
        if record["kind"] == "epoch" and record["epoch"] == summary.load(workdir)["best_epoch"]
    )
    assert held_out["test_reads"] is None
    assert held_out["metrics"]["auc"]["value"] == pytest.approx(best["validation_auc_by_seed"][0], abs=1e-6)
    averaged = evaluate.evaluate(workdir, split="validation", over_group="p4")
    kept = collecting.collect(workdir)["."]
    assert kept["averages"] == {"p4": {"validation": [averaged["metrics"]["accuracy"]["value"]]}}
    assert kept["test_reads"] == 2
    with pytest.raises(UserError, match="--split train"):
        evaluate.evaluate(workdir, split="train")
    evaluate.main([str(workdir), "--data", str(folder), "--over_seeds", "--output", str(tmp_path / "m.json")])
    assert "confusion matrix" in capsys.readouterr().out
    assert json.loads((tmp_path / "m.json").read_text())["num_images"] == 56


@pytest.mark.parametrize(
    ("command", "arguments", "message"),
    [
        (predict, ["{run}"], "required"),
        (predict, ["{run}", "nowhere.png"], "no such file or folder"),
        (predict, ["{tmp}", "{folder}/test/dark/0.tif"], "expected a finished run"),
        (predict, ["{run}", "{tmp}"], "holds no images"),
        (predict, ["{run}", "{folder}", "--batch_size", "0"], "expected a positive integer; got 0"),
        (predict, ["{run}", "{folder}", "--output", "x.txt"], "ends in .csv or .json"),
        (predict, ["{run}", "{folder}/test/dark", "--output", "{tmp}/p.csv", "--attention", "{tmp}/maps"], "attention"),
        (evaluate, ["{run}", "--data", "{tmp}"], "no images in"),
        (evaluate, ["{run}", "--data", "{folder}", "--split", "validation"], "has no validation split"),
        (evaluate, ["{run}", "--split", "other"], "invalid choice"),
    ],
)
def test_mistakes_are_one_line(finished, tmp_path, capsys, command, arguments, message):
    places = {"run": finished[0], "folder": finished[1], "tmp": tmp_path}
    with pytest.raises(SystemExit):
        command.main([argument.format(**places) for argument in arguments])
    error = capsys.readouterr().err
    assert message in error
    assert len(error.splitlines()) == 1


def test_classes_that_the_run_does_not_know(finished, tmp_path, capsys):
    write_cells(tmp_path)
    (tmp_path / "train" / "dark").rename(tmp_path / "train" / "other")
    (tmp_path / "test" / "dark").rename(tmp_path / "test" / "other")
    with pytest.raises(SystemExit):
        evaluate.main([str(finished[0]), "--data", str(tmp_path)])
    assert "has classes that the run has not: other" in capsys.readouterr().err
    assert "tensorflow" not in sys.modules

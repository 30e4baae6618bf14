"""The command that exports a run, and the accuracy of the weights that come with the package."""

import dataclasses
import pathlib

import jax.export
import numpy as np
import pytest
from flax import nnx

from experiments import data, export
from experiments.config import default_config
from experiments.config.loading import load_config
from experiments.runs import Run
from experiments.trained import build
from gequi_jax import models

MNIST = pathlib.Path(__file__).resolve().parents[2] / "../shared/data"


def run_of(name: str, workdir) -> Run:
    """A run as the trained weights of the package record it."""
    config = default_config()
    config.model, config.normalization, config.num_validation = name, "digits", 180
    model = models.create_model(name, rngs=nnx.Rngs(0), pretrained=True)
    accuracy = models.model_info(name).pretrained_metrics["test_accuracy"] / 100
    preprocessing = data.Preprocessing(sizes=(8, 8), channels=1, resize_mode="resize", dtype="uint8")
    labels = data.LabelNames(tuple("0123456789"), "classes")
    return Run(workdir, config, build.model_group(config), model, accuracy, preprocessing, labels)


def cost(name: str) -> list[pytest.MarkDecorator]:
    """Where the accuracy of a network is measured: transformers read all test digits in minutes, others in seconds."""
    if name == "digits_alpha_f_p4_cnn":
        return []
    return [pytest.mark.full_size if "_vit_" in name else pytest.mark.slow]


@pytest.mark.parametrize("name", [pytest.param(name, marks=cost(name)) for name in models.list_models(pretrained=True)])
def test_pretrained_weights_have_the_recorded_accuracy_on_the_recorded_test_set(name, tmp_path):
    run = run_of(name, tmp_path)
    if not name.startswith("digits_"):
        if not (MNIST / "mnist.npz").exists():
            pytest.skip("the images of MNIST are not here")
        run = recorded(name, run)
    test = run.load_data().test()
    metrics = models.model_info(name).pretrained_metrics
    assert len(test) == metrics["test_images"]
    predict = nnx.jit(lambda model, x: model(x).argmax(axis=-1))
    right = 0
    for indices in np.array_split(np.arange(len(test)), -(-len(test) // 500)):
        examples = test.fetch(indices)
        right += np.sum(predict(run.model, run.normalize(data.as_unit_range(examples["image"]))) == examples["label"])
    # A logit that rounds differently on another machine may change one image.
    assert 100 * right / len(test) == pytest.approx(metrics["test_accuracy"], abs=100 / len(test) + 0.005)


def recorded(name: str, run: Run) -> Run:
    """A run with the configuration that the weights were trained with."""
    config = load_config(name)
    config.data_dir = str(MNIST)
    return dataclasses.replace(run, config=config)


@pytest.fixture
def finished_run(tmp_path, monkeypatch):
    """A finished run of which the command sees the summary and the network."""
    run = run_of("digits_alpha_f_p4_cnn", tmp_path)
    monkeypatch.setattr(export, "load_run", lambda workdir: run)
    monkeypatch.setattr(export, "command", lambda finished: "python -m experiments.main")
    (tmp_path / "summary.json").write_text('{"num_test": 360, "dataset": "digits", "epochs": 30}')
    return run


def test_safetensors(finished_run, capsys):
    export.main([str(finished_run.workdir), "--to", "safetensors"])
    assert "test accuracy 97.50 %" in capsys.readouterr().out
    info = models.weights_info(finished_run.workdir / "digits_alpha_f_p4_cnn.safetensors")
    assert info.preprocessing == {"range": [0, 1], "mean": [0.3053], "std": [0.376]}
    assert "".join(info.classes) == "0123456789"
    assert info.metrics["test_accuracy"] == 97.5
    assert info.metrics["command"] == "python -m experiments.main"


def test_stablehlo_reads_images_of_unit_range(finished_run, tmp_path):
    export.main([str(finished_run.workdir), "--to", "stablehlo", "--output", str(tmp_path / "digits")])
    program = jax.export.deserialize(bytearray((tmp_path / "digits").read_bytes()))
    images = np.random.default_rng(0).uniform(size=(2, 8, 8, 1)).astype(np.float32)
    expected = nnx.jit(lambda model, x: model(x))(finished_run.model, finished_run.normalize(images))
    np.testing.assert_allclose(program.call(images), expected, rtol=1e-5, atol=1e-5)


def test_mistakes_are_one_line(finished_run, capsys, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    for arguments in (
        ["--to", "onnx"],
        ["--to", "tflite"],
        ["--to", "safetensors", "--output", "/no/such/folder/file"],
    ):
        with pytest.raises(SystemExit):
            export.main([str(finished_run.workdir), *arguments])
        assert capsys.readouterr().err.count("\n") == 1


def test_a_run_that_is_not_finished(tmp_path, capsys):
    with pytest.raises(SystemExit):
        export.main([str(tmp_path), "--to", "onnx"])
    assert "expected a finished run" in capsys.readouterr().err

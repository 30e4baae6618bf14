"""The end of a run: the test split is read once, equivariance is measured on test images, pictures are drawn."""

import pathlib
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from experiments import data
from experiments.config import Config, saved
from experiments.results import classification, equivariance, inputs, metrics, pictures
from experiments.results.environment import environment
from experiments.trained.build import model_group
from experiments.trained.inside import lifted_maps
from experiments.training.evaluation import Predictor
from gequi_jax import groups

_NUM_PICTURED = 60


def evaluate_run(
    config: Config,
    predictor: Predictor,
    dataset: data.Dataset,
    *,
    workdir: pathlib.Path,
    build_trained: Callable[[], nnx.Module],
    statistics: dict[str, Any],
) -> dict[str, Any]:
    """Evaluates the selected weights on the test split and draws the pictures.

    Args:
      config: the configuration of the run.
      predictor: the network with the selected weights.
      dataset: its test split is read here, once.
      workdir: the directory of the pictures.
      build_trained: builds the trained network (of the first seed), to look inside.
      statistics: those of the loop.

    Returns:
      The summary, plain data.
    """
    reads = inputs.count_test_read(workdir, "training") if jax.process_index() == 0 else None
    test = dataset.test()
    logits, labels = predictor.predict(test)
    result = {
        "model": config.model,
        "dataset": dataset.name,
        "epochs": config.num_epochs,
        "seeds": list(range(config.seed, config.seed + config.num_seeds)),
        "parameters": predictor.program.num_parameters,
        "num_train": len(dataset.train),
        **test_metrics(logits, labels, dataset.label_names),
        "test_reads": reads,
        "quarter_turn_accuracy": None,
        **statistics,
    }
    sizes = dataset.image_shape[:-1]
    if sizes[-2] == sizes[-1]:
        result["quarter_turn_accuracy"] = _quarter_turn_accuracy(
            predictor, test, logits, labels, dataset.label_names.task, len(sizes)
        )
        sample = test.fetch(np.arange(min(config.equivariance_images, len(test))))["image"]
        group = model_group(config)
        changes = equivariance.logit_changes(predictor.logits, sample, group=group)
        result["equivariance"] = {"group": group.name, "dim": group.dim, **changes}
    if jax.process_index() == 0:
        images = np.asarray(
            data.as_unit_range(jnp.asarray(test.fetch(np.arange(min(_NUM_PICTURED, len(test))))["image"]))
        )
        pictures.draw_results(workdir, images, logits, labels)
        _draw_feature_maps(config, dataset, images[0], workdir, build_trained)
    return result | {"environment": environment(), "config": saved.as_plain(config)}


def test_metrics(logits: np.ndarray, labels: np.ndarray, names: data.LabelNames) -> dict[str, Any]:
    """The metrics of the test split, plain data; means over seeds if there are several.

    Args:
      logits: `[n, classes]`, with a leading axis of seeds if there are several.
      labels: `[n]`, or `[n, classes]` of 0 and 1.
      names: the classes and the task.
    """
    measured = metrics.summarize(logits, labels, names.task)
    reported = classification.classification_metrics(logits, labels, names.task)
    accuracies = np.atleast_1d(measured["accuracy"])
    mean = float(accuracies.mean())
    return {
        "num_test": len(labels),
        "test_accuracy": mean,
        "test_accuracy_by_seed": accuracies.tolist(),
        "test_accuracy_std": float(accuracies.std(ddof=1)) if len(accuracies) > 1 else None,
        "test_accuracy_interval": reported["accuracy"]["interval"],
        "test_loss": float(np.mean(measured["loss"])),
        "calibration_error": float(np.mean(metrics.calibration_error(logits, labels))),
        "test_metrics": reported,
        "task": names.task,
        "class_names": list(names.names),
        "confusion_matrix": metrics.confusion_matrix(logits, labels).tolist(),
    }


def _quarter_turn_accuracy(
    predictor: Predictor, test: data.Source, logits: np.ndarray, labels: np.ndarray, task: str, dim: int
) -> list[float]:
    """Mean accuracy over seeds at 0, 90, 180 and 270 degrees, of volumes in the plane of the slices."""
    turns = [equivariance.transformed(groups.group_by_name("p4", dim=dim), element) for element in range(1, 4)]
    rotated = [predictor.predict(test, turn)[0] for turn in turns]
    return [float(np.mean(metrics.summarize(values, labels, task)["accuracy"])) for values in [logits, *rotated]]


def _draw_feature_maps(
    config: Config,
    dataset: data.Dataset,
    image: np.ndarray,
    workdir: pathlib.Path,
    build_trained: Callable[[], nnx.Module],
) -> None:
    normalize = data.normalization(config.normalization, dataset.preprocessing)

    def feature_maps(images: np.ndarray) -> np.ndarray | None:
        maps = lifted_maps(build_trained(), normalize(jnp.asarray(images)))
        return None if maps is None else np.asarray(maps)

    pictures.draw_feature_maps(workdir, image, feature_maps, model_group(config))

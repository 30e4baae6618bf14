"""The task of labelled images: the loss, the validation, and the evaluation of the test split."""

import dataclasses
import pathlib
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from experiments import data
from experiments.config import Config
from experiments.results import classification, equivariance, metrics, pictures
from experiments.trained.build import model_group
from experiments.training.evaluation import Predictor, Validation, accuracy_fields
from experiments.training.objective import Objective
from gequi_jax import groups

_NUM_PICTURED = 60


@dataclasses.dataclass(frozen=True)
class LabelledImages:
    """Images with one label, several, or a grade."""

    config: Config
    dataset: data.Dataset

    def notes(self) -> tuple[str, ...]:
        """What the user should know beside what the data set says."""
        return ()

    def objective(self) -> Objective:
        """The loss."""
        return Objective.of(self.config, self.dataset)

    def validate(self, predictor: Predictor, source: data.Source) -> Validation:
        """Evaluates a split."""
        task, name = self.dataset.label_names.task, self.config.best_metric
        logits, labels = predictor.predict(source)
        measured = metrics.summarize(logits, labels, task)
        return Validation(measured["loss"], measured["accuracy"], classification.metric(name, logits, labels, task))

    def picture(self, source: data.Source) -> np.ndarray:
        """The first image of a split."""
        return _first(source, 1)[0]

    def evaluate(self, predictor: Predictor, test: data.Source, workdir: pathlib.Path) -> dict[str, Any]:
        """Evaluates the test split and draws the pictures.

        Args:
          predictor: the network with the selected weights.
          test: the test split.
          workdir: the directory of the pictures.

        Returns:
          The part of the summary, plain data.
        """
        logits, labels = predictor.predict(test)
        names, sizes = self.dataset.label_names, self.dataset.image_shape[:-1]
        result = {**test_metrics(logits, labels, names), "quarter_turn_accuracy": None}
        if sizes[-2] == sizes[-1]:
            accuracy = _quarter_turn_accuracy(predictor, test, logits, labels, names.task, len(sizes))
            group = model_group(self.config)
            images = _first(test, self.config.equivariance_images)
            changes = equivariance.logit_changes(predictor.logits, images, group=group)
            result["quarter_turn_accuracy"] = accuracy
            result["equivariance"] = {"group": group.name, "dim": group.dim, **changes}
        if jax.process_index() == 0:
            images = np.asarray(data.as_unit_range(jnp.asarray(_first(test, _NUM_PICTURED))))
            pictures.draw_results(workdir, images, logits, labels)
        return result


def _first(source: data.Source, number: int) -> np.ndarray:
    return source.fetch(np.arange(min(number, len(source))))["image"]


def test_metrics(logits: np.ndarray, labels: np.ndarray, names: data.LabelNames) -> dict[str, Any]:
    """The metrics of the test split, plain data; means over seeds if there are several.

    Args:
      logits: `[n, classes]`, with a leading axis of seeds if there are several.
      labels: `[n]`, or `[n, classes]` of 0 and 1.
      names: the classes and the task.
    """
    measured = metrics.summarize(logits, labels, names.task)
    reported = classification.classification_metrics(logits, labels, names.task)
    return {
        "num_test": len(labels),
        **accuracy_fields(np.atleast_1d(measured["accuracy"]), reported["accuracy"]["interval"]),
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

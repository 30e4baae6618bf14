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
from experiments.results import inputs, pictures
from experiments.results.environment import environment
from experiments.trained.build import model_group
from experiments.trained.inside import lifted_maps
from experiments.training.evaluation import Predictor
from experiments.training.tasks import Task


def evaluate_run(
    task: Task,
    predictor: Predictor,
    *,
    workdir: pathlib.Path,
    build_trained: Callable[[], nnx.Module],
    statistics: dict[str, Any],
) -> dict[str, Any]:
    """Evaluates the selected weights on the test split and draws the pictures.

    Args:
      task: the configuration and the data set of the run; the test split is read here, once.
      predictor: the network with the selected weights.
      workdir: the directory of the pictures.
      build_trained: builds the trained network (of the first seed), to look inside.
      statistics: those of the loop.

    Returns:
      The summary, plain data.
    """
    config, dataset = task.config, task.dataset
    reads = inputs.count_test_read(workdir, "training") if jax.process_index() == 0 else None
    test: Any = dataset.test()
    result = {
        "model": config.model,
        "dataset": dataset.name,
        "epochs": config.num_epochs,
        "seeds": list(range(config.seed, config.seed + config.num_seeds)),
        "parameters": predictor.program.num_parameters,
        "num_train": dataset.num_train,
        "test_reads": reads,
        **task.evaluate(predictor, test, workdir),
        **statistics,
    }
    if jax.process_index() == 0:
        image = np.asarray(data.as_unit_range(jnp.asarray(task.picture(test))))
        _draw_feature_maps(config, dataset, image, workdir, build_trained)
    return result | {"environment": environment(), "config": saved.as_plain(config)}


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

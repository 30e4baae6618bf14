"""The pictures of a finished run: learning curve, predictions, confusion matrix, feature maps."""

import pathlib
from collections.abc import Callable

import numpy as np

from experiments.results import logs, metrics, plots
from experiments.results.equivariance import transformed
from gequi_jax import actions, groups

# From images in [0, 1] to feature maps on the group, or None.
FeatureMaps = Callable[[np.ndarray], np.ndarray | None]


def draw_results(workdir: pathlib.Path, images: np.ndarray, logits: np.ndarray, labels: np.ndarray) -> None:
    """Draws the learning curve, the first predictions and the confusion matrix.

    Args:
      workdir: the directory of the run, with its metrics.jsonl.
      images: the first test images, in [0, 1].
      logits: `[n, classes]`, of the whole test split, with a leading axis of seeds if there are several.
      labels: `[n]`.
    """
    plots.learning_curve(logs.read_metrics(workdir), workdir / "learning_curve.png")
    first_seed = logits if logits.ndim == 2 else logits[0]
    plots.predictions(images, first_seed, labels, workdir / "predictions.png")
    plots.confusion(metrics.confusion_matrix(logits, labels), workdir / "confusion.png")


def draw_feature_maps(
    workdir: pathlib.Path, image: np.ndarray, feature_maps: FeatureMaps, group: groups.FiniteGroup
) -> None:
    """Draws the lifted feature maps of an image and of the image under the first element but the identity.

    Args:
      workdir: the directory of the run.
      image: `[rows, columns, channels]`, in [0, 1].
      feature_maps: the lifting layer of the network.
      group: the group of the network.
    """
    elements = actions.grid_preserving_elements(group)
    if image.shape[0] != image.shape[1] or len(elements) < 2:
        return
    moved = transformed(group, elements[1])(image[None])
    maps = feature_maps(np.concatenate([image[None], moved]))
    if maps is not None:
        plots.feature_maps(image, moved[0], maps[0], maps[1], workdir / "feature_maps.png")

"""The pictures of a finished run: learning curve, predictions, confusion matrix, feature maps."""

import pathlib
from collections.abc import Callable, Sequence

import numpy as np

from experiments.results import logs, metrics, plots
from experiments.results.equivariance import transformed
from experiments.results.mosaic import mosaic
from gequi_jax import actions, groups

# From images in [0, 1] to feature maps on the group, or None.
FeatureMaps = Callable[[np.ndarray], np.ndarray | None]


def draw_results(workdir: pathlib.Path, images: np.ndarray, logits: np.ndarray, labels: np.ndarray) -> None:
    """Draws the learning curve, the first predictions and the confusion matrix; volumes as three slices and a projection.

    Args:
      workdir: the directory of the run, with its metrics.jsonl.
      images: the first test images, in [0, 1].
      logits: `[n, classes]`, of the whole test split, with a leading axis of seeds if there are several.
      labels: `[n]`; with several labels an image, `[n, classes]`, only the learning curve is drawn.
    """
    plots.learning_curve(logs.read_metrics(workdir), workdir / "learning_curve.png")
    first_seed = logits if logits.ndim == 2 else logits[0]
    if labels.ndim == 1:
        plots.predictions(mosaic(images), first_seed, labels, workdir / "predictions.png")
        plots.confusion(metrics.confusion_matrix(logits, labels), workdir / "confusion.png")


def draw_segmentations(workdir: pathlib.Path, examples: Sequence[tuple[np.ndarray, np.ndarray, np.ndarray]]) -> None:
    """Draws the learning curve, and test images beside their masks, the predicted masks and the pixels that differ.

    Args:
      workdir: the directory of the run, with its metrics.jsonl.
      examples: images `[*sizes, channels]` in [0, 1], masks and predicted masks `[*sizes]`; volumes are drawn as slices.
    """
    plots.learning_curve(logs.read_metrics(workdir), workdir / "learning_curve.png")
    views = [
        (mosaic(image[None])[0], mosaic(mask[None, ..., None])[0, ..., 0], mosaic(found[None, ..., None])[0, ..., 0])
        for image, mask, found in examples
    ]
    plots.segmentations(views, workdir / "segmentations.png")


def draw_feature_maps(
    workdir: pathlib.Path, image: np.ndarray, feature_maps: FeatureMaps, group: groups.FiniteGroup
) -> None:
    """Draws the lifted feature maps of an image and of the image under the first element but the identity.

    Args:
      workdir: the directory of the run.
      image: `[*sizes, channels]`, in [0, 1].
      feature_maps: the lifting layer of the network.
      group: the group of the network.
    """
    elements = actions.grid_preserving_elements(group)
    if image.shape[-3] != image.shape[-2] or len(elements) < 2:
        return
    moved = transformed(group, elements[1])(image[None])
    maps = feature_maps(np.concatenate([image[None], moved]))
    if maps is not None:
        shown, views = mosaic(np.stack([image, moved[0]])), mosaic(_of_widest_channel(maps))
        plots.feature_maps(shown[0], shown[1], views[0], views[1], workdir / "feature_maps.png")


def _of_widest_channel(maps: np.ndarray) -> np.ndarray:
    """The first poses of the channel with the largest variance: `[n, *sizes, group, channels]` to `[n, *sizes, poses]`."""
    channel = int(maps[0].std(axis=tuple(range(maps.ndim - 2))).argmax())
    return maps[..., : plots.MOST_POSES, channel]

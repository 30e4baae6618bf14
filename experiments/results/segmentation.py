"""Metrics of segmentations: Dice, intersection over union, accuracy, AUC, Hausdorff distance, with bootstrap intervals.

What is needed of an image is computed once, so that resampling the images costs nothing.
"""

import dataclasses
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from scipy import ndimage

from experiments.results import metrics
from experiments.results.intervals import percentile_interval, plain

RESAMPLES = 1000


@dataclasses.dataclass(frozen=True)
class ImageScores:
    """What the metrics need of images, all with a leading axis of seeds.

    Attributes:
      confusion: pixels `[seeds, n, true class, predicted class]`.
      loss: mean cross-entropy of the pixels `[seeds, n]`.
      auc: area under the curve of two classes `[seeds, n]`; NaN if an image has one class, or nobody asked.
      hausdorff: Hausdorff distance in pixels `[seeds, n, classes]`; NaN if truth or prediction lack the class.
    """

    confusion: np.ndarray
    loss: np.ndarray
    auc: np.ndarray
    hausdorff: np.ndarray

    def __len__(self) -> int:
        return self.loss.shape[1]

    def select(self, images: np.ndarray) -> "ImageScores":
        """Some of the images."""
        return ImageScores(*(values[:, images] for values in self._values()))

    @classmethod
    def joined(cls, parts: Sequence["ImageScores"]) -> "ImageScores":
        """Several images as one value."""
        return cls(
            *(np.concatenate(values, axis=1) for values in zip(*(part._values() for part in parts), strict=True))
        )

    def _values(self) -> tuple[np.ndarray, ...]:
        return self.confusion, self.loss, self.auc, self.hausdorff


def score_image(logits: np.ndarray, mask: np.ndarray, *, detailed: bool) -> ImageScores:
    """Scores one image.

    Args:
      logits: `[*sizes, classes]`, with a leading axis of seeds if there are several.
      mask: `[*sizes]`.
      detailed: also AUC and Hausdorff distances, which take longer.
    """
    num_classes = logits.shape[-1]
    seeds = logits.reshape(-1, mask.size, num_classes)
    found = np.full((len(seeds), num_classes), np.nan)
    if detailed:
        found = np.stack(
            [hausdorff_distances(of_one.argmax(-1).reshape(mask.shape), mask, num_classes) for of_one in seeds]
        )
    return ImageScores(
        confusion=np.stack([metrics.confusion_matrix(of_one, mask.ravel()) for of_one in seeds])[:, None],
        loss=metrics.summarize(seeds, mask.ravel())["loss"][:, None],
        auc=np.asarray([_auc(of_one, mask.ravel()) if detailed else np.nan for of_one in seeds])[:, None],
        hausdorff=found[:, None],
    )


def hausdorff_distances(predicted: np.ndarray, mask: np.ndarray, num_classes: int) -> np.ndarray:
    """The Hausdorff distance of each class, `[classes]`.

        max( max_{x in P} min_{y in T} |x - y|,  max_{y in T} min_{x in P} |x - y| )

    with the pixels P of the prediction and T of the mask; NaN if one of them is empty.

    Args:
      predicted: classes `[*sizes]`.
      mask: classes `[*sizes]`.
      num_classes: their number.
    """
    distances = np.full(num_classes, np.nan)
    for index in range(num_classes):
        found, truth = predicted == index, mask == index
        if found.any() and truth.any():
            to_found, to_truth = (np.asarray(ndimage.distance_transform_edt(~pixels)) for pixels in (found, truth))
            distances[index] = max(to_truth[found].max(), to_found[truth].max())
    return distances


def segmentation_metrics(scores: ImageScores, names: Sequence[str], *, seed: int = 0) -> dict[str, Any]:
    """Every metric with the 95 % interval of a bootstrap over the images; means over seeds.

    Args:
      scores: of the images.
      names: of the classes.
      seed: of the resampling.

    Returns:
      name -> `{"value": ..., "interval": [low, high]}`. A metric without a meaning on these images is None.
    """
    draws = np.random.default_rng(seed).integers(0, len(scores), (RESAMPLES, len(scores)))
    resampled = [_measured(scores.select(draw), names) for draw in draws]
    return {
        name: {"value": plain(value), "interval": percentile_interval([each[name] for each in resampled])}
        for name, value in _measured(scores, names).items()
    }


def metric(name: str, scores: ImageScores) -> np.ndarray:
    """One metric of `METRICS`, or the negative loss, of every seed; larger is better."""
    return -pixel_mean(scores, scores.loss) if name == "loss" else _known_mean(METRICS[name](scores), axis=1)


def accuracy(scores: ImageScores) -> np.ndarray:
    """The share of right pixels `[seeds]`."""
    confusion = scores.confusion.sum(axis=1)
    return np.trace(confusion, axis1=-2, axis2=-1) / confusion.sum(axis=(-2, -1))


def dice(scores: ImageScores) -> np.ndarray:
    """The Dice coefficient 2 |P and T| / (|P| + |T|) of each class over all pixels, `[seeds, classes]`; NaN without any."""
    both, either = _overlap(scores)
    return _ratio(2 * both, either)


def iou(scores: ImageScores) -> np.ndarray:
    """The intersection over union |P and T| / |P or T| of each class over all pixels, `[seeds, classes]`; NaN without any."""
    both, either = _overlap(scores)
    return _ratio(both, either - both)


def pixel_mean(scores: ImageScores, values: np.ndarray) -> np.ndarray:
    """The mean of means over images, weighted by their pixels: `[seeds, n]` to `[seeds]`."""
    return np.average(values, axis=1, weights=scores.confusion[0].sum(axis=(-2, -1)))


# Each is the mean over the parts of `[seeds, parts]` that have a meaning.
METRICS: Mapping[str, Callable[[ImageScores], np.ndarray]] = {
    "dice": dice,
    "iou": iou,
    "accuracy": lambda scores: accuracy(scores)[:, None],
    "auc": lambda scores: scores.auc,
    "hausdorff": lambda scores: _known_mean(scores.hausdorff, axis=1),
}
_BY_CLASS = ("dice", "iou", "hausdorff")


def _measured(scores: ImageScores, names: Sequence[str]) -> dict[str, float]:
    result = {}
    for name, function in METRICS.items():
        values = function(scores)
        result[name] = float(_known_mean(_known_mean(values, axis=1), axis=0))
        if name in _BY_CLASS:
            result |= _of_classes(name, values, names)
    return result


def _of_classes(metric: str, values: np.ndarray, names: Sequence[str]) -> dict[str, float]:
    words = [*names, *map(str, range(len(names), values.shape[-1]))]
    return {f"{metric}_of_{word}": float(value) for word, value in zip(words, _known_mean(values, axis=0), strict=True)}


def _overlap(scores: ImageScores) -> tuple[np.ndarray, np.ndarray]:
    """|P and T| and |P| + |T| of each class, `[seeds, classes]`."""
    confusion = scores.confusion.sum(axis=1)
    return np.diagonal(confusion, axis1=-2, axis2=-1), confusion.sum(axis=-1) + confusion.sum(axis=-2)


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.where(whole > 0, part / np.maximum(whole, 1), np.nan)


def _auc(logits: np.ndarray, mask: np.ndarray) -> float:
    from sklearn.metrics import roc_auc_score

    if logits.shape[-1] != 2 or mask.min() == mask.max():
        return np.nan
    return float(roc_auc_score(mask, logits[:, 1] - logits[:, 0]))


def _known_mean(values: np.ndarray, *, axis: int) -> np.ndarray:
    """The mean of what is not NaN."""
    with warnings.catch_warnings():
        # Where nothing has one, the mean has none.
        warnings.simplefilter("ignore", RuntimeWarning)
        return np.nanmean(values, axis=axis)

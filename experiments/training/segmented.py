"""The task of images with masks: the loss, the validation, and the evaluation of the test split."""

import dataclasses
import pathlib
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from experiments import data
from experiments.config import Config
from experiments.errors import UserError
from experiments.results import equivariance, pictures, segmentation
from experiments.trained import build
from experiments.trained.tiles import whole_or_tiled
from experiments.training.evaluation import Predictor, Validation, accuracy_fields
from experiments.training.pixel_objective import PixelObjective
from gequi_jax import groups

_NUM_PICTURED = 6

Pair = tuple[np.ndarray, np.ndarray]


@dataclasses.dataclass(frozen=True)
class MaskedImages:
    """Images with a class for each pixel."""

    config: Config
    dataset: data.Dataset

    def __post_init__(self):
        if self.config.best_metric == "auc" and self.dataset.num_classes != 2:
            raise UserError(f"best_metric: auc is for two classes of pixels; these are {self.dataset.num_classes}")

    def notes(self) -> tuple[str, ...]:
        """What the user should know."""
        loss, metric = self.config.segmentation_loss, self.config.best_metric
        augmentation = ", ".join(self.config.augmentation) or "no augmentation"
        return (f"segmentation by the loss {loss}, with {augmentation}; the best epoch by {metric}",)

    def objective(self) -> PixelObjective:
        """The loss."""
        return PixelObjective.of(self.config, self.dataset)

    def validate(self, predictor: Predictor, source: data.MaskedSource) -> Validation:
        """Evaluates a split."""
        name = self.config.best_metric
        scores = segmentation.ImageScores.joined(
            [
                segmentation.score_image(logits, mask, detailed=name == "auc")
                for _, logits, mask in self._segmented(predictor, source)
            ]
        )
        values = (
            segmentation.pixel_mean(scores, scores.loss),
            segmentation.accuracy(scores),
            segmentation.metric(name, scores),
        )
        return Validation(*(value if self.config.num_seeds > 1 else value[0] for value in values))

    def picture(self, source: data.MaskedSource) -> np.ndarray:
        """The middle of the first image of a split, as large as a tile of the training."""
        return next(self._tiles(source, 1))[0]

    def evaluate(self, predictor: Predictor, test: data.MaskedSource, workdir: pathlib.Path) -> dict[str, Any]:
        """Evaluates the test split and draws the pictures, as `LabelledImages.evaluate` does."""
        scores, shown = [], []
        for image, logits, mask in self._segmented(predictor, test):
            scores.append(segmentation.score_image(logits, mask, detailed=True))
            if len(shown) < _NUM_PICTURED:
                first_seed = logits[0] if self.config.num_seeds > 1 else logits
                shown.append((np.asarray(data.as_unit_range(jnp.asarray(image))), mask, first_seed.argmax(axis=-1)))
        if jax.process_index() == 0:
            pictures.draw_segmentations(workdir, shown)
        return test_metrics(segmentation.ImageScores.joined(scores), self.dataset.label_names) | self._symmetry(
            predictor, test
        )

    def _symmetry(self, predictor: Predictor, test: data.MaskedSource) -> dict[str, Any]:
        """How the segmentation moves with the image, under every element of the group and under quarter turns."""
        group = build.model_group(self.config)
        tiles = list(self._tiles(test, self.config.equivariance_images))
        changes = equivariance.logit_map_changes(predictor.logits, [image for image, _ in tiles], group=group)
        turns = groups.group_by_name("p4", dim=group.dim)
        by_turn = [self._dice(predictor, tiles, equivariance.transformed(turns, element)) for element in range(4)]
        return {"quarter_turn_dice": by_turn, "equivariance": {"group": group.name, "dim": group.dim, **changes}}

    def _dice(self, predictor: Predictor, tiles: list[Pair], move: equivariance.Transform) -> float:
        """The mean Dice coefficient of moved images and masks, over seeds."""
        segment = self._segmenter(predictor, 0)
        moved = [(move(image[None])[0], move(mask[None, ..., None])[0, ..., 0]) for image, mask in tiles]
        scores = [segmentation.score_image(segment(image), mask, detailed=False) for image, mask in moved]
        return float(np.mean(segmentation.metric("dice", segmentation.ImageScores.joined(scores))))

    def _segmenter(self, predictor: Predictor, tile_size: int) -> Callable[[np.ndarray], np.ndarray]:
        """From an image to its logits `[*sizes, classes]`, with a leading axis of seeds if there are several."""
        outline = nnx.eval_shape(lambda: build.build_model(self.config, nnx.Rngs(0)))
        return whole_or_tiled(outline, predictor.logits, tile_size)

    def _segmented(
        self, predictor: Predictor, source: data.MaskedSource
    ) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """Every image, its logits and its mask."""
        segment = self._segmenter(predictor, self.config.eval_tile_size)
        for index in range(len(source)):
            example = source.example(index)
            yield example["image"], segment(example["image"]), example["label"]

    def _tiles(self, source: data.MaskedSource, number: int) -> Iterator[Pair]:
        """The middle of each of the first images and of its mask."""
        sizes = self.dataset.image_shape[:-1]
        for index in range(min(number, len(source))):
            example = source.example(index)
            starts = [max(0, side - size) // 2 for side, size in zip(example["label"].shape, sizes, strict=True)]
            window = tuple(slice(start, start + size) for start, size in zip(starts, sizes, strict=True))
            yield example["image"][window], example["label"][window]


def test_metrics(scores: segmentation.ImageScores, names: data.LabelNames) -> dict[str, Any]:
    """The metrics of the test split, plain data; means over seeds if there are several."""
    reported = segmentation.segmentation_metrics(scores, names.names)
    return {
        "num_test": len(scores),
        **accuracy_fields(segmentation.accuracy(scores), reported["accuracy"]["interval"]),
        "test_loss": float(np.mean(segmentation.pixel_mean(scores, scores.loss))),
        "test_metrics": reported,
        "task": names.task,
        "class_names": list(names.names),
        "confusion_matrix": scores.confusion.sum(axis=(0, 1)).tolist(),
    }

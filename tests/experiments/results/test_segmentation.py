import itertools

import numpy as np
import pytest
from sklearn import metrics as reference

from experiments.results import segmentation

RANDOM = np.random.default_rng(0)
MASKS = [RANDOM.integers(0, 3, (9, 7)), np.zeros((9, 7), int), RANDOM.integers(0, 2, (5, 6))]
MASKS[1][4, 4] = 2  # one pixel
LOGITS = [np.eye(3)[mask] + 0.7 * RANDOM.normal(size=(2, *mask.shape, 3)) for mask in MASKS]


def scored(logits=LOGITS, masks=MASKS):
    return segmentation.ImageScores.joined(
        [segmentation.score_image(of_image, mask, detailed=True) for of_image, mask in zip(logits, masks, strict=True)]
    )


def flat(seed):
    truth = np.concatenate([mask.ravel() for mask in MASKS])
    return truth, np.concatenate([logits[seed].argmax(-1).ravel() for logits in LOGITS])


@pytest.mark.parametrize("seed", [0, 1])
def test_dice_iou_and_accuracy_are_those_of_scikit_learn(seed):
    scores, (truth, predicted) = scored(), flat(seed)
    np.testing.assert_allclose(segmentation.dice(scores)[seed], reference.f1_score(truth, predicted, average=None))
    np.testing.assert_allclose(segmentation.iou(scores)[seed], reference.jaccard_score(truth, predicted, average=None))
    assert segmentation.accuracy(scores)[seed] == pytest.approx(np.mean(truth == predicted))
    assert segmentation.metric("dice", scores)[seed] == pytest.approx(
        reference.f1_score(truth, predicted, average="macro")
    )


def test_the_loss_is_the_mean_over_pixels_not_over_images():
    scores = scored()
    log = [values - np.log(np.exp(values).sum(-1, keepdims=True)) for values in LOGITS]
    picked = [
        np.take_along_axis(v, np.broadcast_to(m, v.shape[:-1])[..., None], -1) for v, m in zip(log, MASKS, strict=True)
    ]
    expected = -np.concatenate([values.reshape(2, -1) for values in picked], axis=1).mean(axis=1)
    np.testing.assert_allclose(segmentation.pixel_mean(scores, scores.loss), expected)
    np.testing.assert_allclose(segmentation.metric("loss", scores), -expected)


@pytest.mark.parametrize("shape", [(7, 9), (4, 5, 3)])
def test_hausdorff_distance_by_all_pairs(shape):
    random = np.random.default_rng(1)
    truth, predicted = (random.random((2, *shape)) < 0.1).astype(int)
    (first, second) = (np.argwhere(values == 1) for values in (truth, predicted))
    pairs = np.linalg.norm(first[:, None] - second[None], axis=-1)
    expected = max(pairs.min(axis=0).max(), pairs.min(axis=1).max())
    distances = segmentation.hausdorff_distances(predicted, truth, 3)
    assert distances[1] == pytest.approx(expected)
    # No pixel has class 2.
    assert np.isnan(distances[2])


def test_auc_of_two_classes():
    mask = RANDOM.integers(0, 2, (6, 5))
    logits = RANDOM.normal(size=(6, 5, 2))
    score = segmentation.score_image(logits, mask, detailed=True)
    margin = (logits[..., 1] - logits[..., 0]).ravel()
    assert score.auc[0, 0] == pytest.approx(reference.roc_auc_score(mask.ravel(), margin))
    assert np.isnan(segmentation.score_image(logits, np.zeros((6, 5), int), detailed=True).auc).all()


def test_a_class_that_neither_masks_nor_predictions_have_does_not_count():
    mask = np.zeros((4, 4), int)
    perfect = scored([np.eye(2)[mask]], [mask])
    np.testing.assert_array_equal(segmentation.dice(perfect), [[1, np.nan]])
    measured = segmentation.segmentation_metrics(perfect, ("background", "cell"))
    assert measured["dice"] == {"value": 1.0, "interval": [1.0, 1.0]}
    assert measured["dice_of_cell"] == {"value": None, "interval": None}
    wrong = scored([np.eye(2)[1 - mask]], [mask])
    np.testing.assert_array_equal(segmentation.dice(wrong), [[0, 0]])


def test_the_bootstrap_draws_images():
    measured = segmentation.segmentation_metrics(scored(), ("a", "b", "c"))
    low, high = measured["accuracy"]["interval"]
    by_draw = []
    for draw in itertools.product(range(3), repeat=3):
        by_draw.append(segmentation.accuracy(scored().select(np.asarray(draw))).mean())
    assert low == pytest.approx(np.percentile(by_draw, 2.5), abs=0.02)
    assert high == pytest.approx(np.percentile(by_draw, 97.5), abs=0.02)
    assert low < measured["accuracy"]["value"] < high

import numpy as np
import pytest

from experiments.results import metrics


def test_summary_of_logits():
    logits = np.log(np.array([[0.7, 0.2, 0.1], [0.1, 0.1, 0.8], [0.3, 0.4, 0.3]]))
    labels = np.array([0, 2, 0])
    result = metrics.summarize(logits, labels)
    np.testing.assert_allclose(result["loss"], -np.mean(np.log([0.7, 0.8, 0.3])))
    np.testing.assert_allclose(result["accuracy"], 2 / 3)
    np.testing.assert_array_equal(metrics.confusion_matrix(logits, labels), [[1, 1, 0], [0, 0, 0], [0, 0, 1]])
    stacked = metrics.summarize(np.stack([logits, -logits]), labels)
    assert stacked["accuracy"].shape == (2,)
    np.testing.assert_allclose(stacked["accuracy"][0], 2 / 3)


def test_loss_of_large_logits_is_finite():
    assert metrics.summarize(np.array([[1e4, -1e4]]), np.array([1]))["loss"] == 2e4


def test_calibration_error():
    # Always 75 % sure: right three times in four is calibrated, right always is 25 points too modest.
    logits = np.log(np.tile([0.75, 0.25], (4, 1)))
    np.testing.assert_allclose(metrics.calibration_error(logits, np.array([0, 0, 0, 1])), 0, atol=1e-12)
    np.testing.assert_allclose(metrics.calibration_error(logits, np.zeros(4, int)), 0.25)


@pytest.mark.parametrize(
    ("accuracy", "count", "low", "high"),
    # Wilson intervals of 81 of 263 and 0 of 20, as tabulated by Newcombe (1998), Tab. I.
    [(81 / 263, 263, 0.2553, 0.3662), (0.0, 20, 0.0, 0.1611)],
)
def test_confidence_interval(accuracy, count, low, high):
    np.testing.assert_allclose(metrics.confidence_interval(accuracy, count), (low, high), atol=5e-5)

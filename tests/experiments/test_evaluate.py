import types

import numpy as np
import pytest

from experiments import data, evaluate
from experiments.parallel import create_layout


def test_summary_of_logits():
    logits = np.log(np.array([[0.7, 0.2, 0.1], [0.1, 0.1, 0.8], [0.3, 0.4, 0.3]]))
    labels = np.array([0, 2, 0])
    result = evaluate.summarize(logits, labels)
    np.testing.assert_allclose(result["loss"], -np.mean(np.log([0.7, 0.8, 0.3])))
    np.testing.assert_allclose(result["accuracy"], 2 / 3)
    np.testing.assert_array_equal(evaluate.confusion_matrix(logits, labels), [[1, 1, 0], [0, 0, 0], [0, 0, 1]])
    stacked = evaluate.summarize(np.stack([logits, -logits]), labels)
    assert stacked["accuracy"].shape == (2,)
    np.testing.assert_allclose(stacked["accuracy"][0], 2 / 3)


def test_loss_of_large_logits_is_finite():
    assert evaluate.summarize(np.array([[1e4, -1e4]]), np.array([1]))["loss"] == 2e4


def test_calibration_error():
    # Always 75 % sure: right three times in four is calibrated, right always is 25 points too modest.
    logits = np.log(np.tile([0.75, 0.25], (4, 1)))
    np.testing.assert_allclose(evaluate.calibration_error(logits, np.array([0, 0, 0, 1])), 0, atol=1e-12)
    np.testing.assert_allclose(evaluate.calibration_error(logits, np.zeros(4, int)), 0.25)


@pytest.mark.parametrize(
    ("accuracy", "count", "low", "high"),
    # Wilson intervals of 81 of 263 and 0 of 20, as tabulated by Newcombe (1998), Tab. I.
    [(81 / 263, 263, 0.2553, 0.3662), (0.0, 20, 0.0, 0.1611)],
)
def test_confidence_interval(accuracy, count, low, high):
    np.testing.assert_allclose(evaluate.confidence_interval(accuracy, count), (low, high), atol=5e-5)


def test_one_batch_is_fetched_before_the_next_begins():
    """Several in flight hold memory, and on several CPU devices they can wait for each other forever."""
    in_flight = []

    class Logits:
        def __init__(self, images):
            assert not in_flight
            in_flight.append(self)
            self.values = np.asarray(images)[:, 0, 0, :]

        def __array__(self, dtype=None, copy=None):
            in_flight.remove(self)
            return self.values

        def __getitem__(self, index):
            return self.values[index]

    images = np.arange(7.0, dtype=np.float32).reshape(7, 1, 1, 1)
    program = types.SimpleNamespace(logits=lambda _, images: Logits(images))
    logits, labels = evaluate.predict(
        program,
        None,
        data.ArraySource(images, np.arange(7)),
        batch_size=2,
        layout=create_layout(1, batch_size=2, seeded=False),
    )
    np.testing.assert_array_equal(logits[:, 0], labels)

import types

import numpy as np

from experiments import data
from experiments.training.evaluation import Predictor
from experiments.training.parallel import create_layout


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
    layout = create_layout(1, batch_size=2, seeded=False)
    logits, labels = Predictor(program, None, layout, 2).predict(data.ArraySource(images, np.arange(7)))
    np.testing.assert_array_equal(logits[:, 0], labels)

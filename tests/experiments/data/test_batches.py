import numpy as np
import pytest

from experiments import data


def source(size=50):
    return data.ArraySource(
        np.arange(size, dtype=np.float32)[:, None, None, None] * np.ones((1, 2, 2, 1), np.float32), np.arange(size)
    )


def labels(**arguments):
    defaults = {"batch_size": 8, "num_steps": 18, "seeds": [0]}
    return [batch["label"] for batch in data.training_batches(source(), **{**defaults, **arguments})]


def test_every_epoch_draws_each_image_at_most_once_in_a_new_order():
    batches = labels()
    epochs = [np.concatenate(batches[start : start + 6]) for start in (0, 6, 12)]
    for epoch in epochs:
        assert len(epoch) == 48
        assert len(set(epoch.tolist())) == 48
    assert not np.array_equal(epochs[0], epochs[1])
    assert not np.array_equal(epochs[1], epochs[2])


def test_the_order_is_fixed_by_the_seed():
    np.testing.assert_array_equal(labels(), labels())
    assert not np.array_equal(labels(), labels(seeds=[1]))


@pytest.mark.parametrize("count", [2, 4])
def test_processes_share_each_batch_row_by_row(count):
    whole = labels()
    parts = [labels(process_index=index, process_count=count) for index in range(count)]
    for step, batch in enumerate(whole):
        np.testing.assert_array_equal(np.concatenate([part[step] for part in parts]), batch)


def test_seeds_side_by_side_are_the_seeds_alone():
    stacked = labels(seeds=[4, 9])
    for index, seed in enumerate([4, 9]):
        np.testing.assert_array_equal([batch[index] for batch in stacked], labels(seeds=[seed]))


@pytest.mark.parametrize("stop", [0, 1, 5, 6, 17])
def test_a_moved_iterator_goes_on_with_the_exact_batch(stop):
    arguments = {"batch_size": 8, "num_steps": 18, "seeds": [0]}
    first = data.training_batches(source(), **arguments)
    for _ in range(stop):
        next(first)
    resumed = data.training_batches(source(), **arguments)
    resumed.set_state(first.get_state())
    np.testing.assert_array_equal([batch["label"] for batch in resumed], labels()[stop:])


@pytest.mark.parametrize("size", [1, 7, 8, 9])
def test_evaluation_covers_everything_in_order_in_batches_of_one_shape(size):
    seen = []
    for batch, count in data.evaluation_batches(source(size), 8):
        assert batch["image"].shape == (8, 2, 2, 1)
        seen.extend(batch["label"][:count])
    assert seen == list(range(size))


def test_balanced_batches_give_each_class_its_share_and_visit_every_member():
    classes = np.repeat([0, 1, 2], [40, 8, 2])
    batches = data.BalancedBatches(classes, 6, seed=0)
    drawn = np.stack([batches[step] for step in range(20)])
    assert all(np.bincount(classes[batch], minlength=3).tolist() == [2, 2, 2] for batch in drawn)
    assert set(drawn.reshape(-1)) == set(range(50))
    np.testing.assert_array_equal(drawn[7], data.BalancedBatches(classes, 6, seed=0)[7])
    assert not np.array_equal(drawn[7], data.BalancedBatches(classes, 6, seed=1)[7])
    uniform = [np.bincount(classes[data.index_batches(50, 6, seed=0)[step]], minlength=3) for step in range(8)]
    assert not all(counts.tolist() == [2, 2, 2] for counts in uniform)

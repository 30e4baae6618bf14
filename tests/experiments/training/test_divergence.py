import dataclasses
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from experiments import data
from experiments.main import main
from experiments.trained.build import load_data
from experiments.training import checkpoints, divergence, run
from tests.experiments import conftest
from tests.experiments.training.test_reliability import FIELDS, flags, refused, saved_steps
from tests.experiments.training.test_run import records

# Minutes together.
pytestmark = pytest.mark.slow

NUM_TRAIN, BATCH_SIZE, LAST = 70, 16, 12
NAMES = ("first", "second", "third")


def tree(**values):
    return {name: {"kernel": jnp.asarray(values.get(name, 1.0)), "count": jnp.zeros((), jnp.int32)} for name in NAMES}


def noted(before, step, *, images=0.0, loss=1.0, gradients=None, params=None, updated=None):
    return divergence.note(
        before,
        NAMES,
        step=jnp.asarray(step, jnp.int32),
        images=jnp.asarray(images),
        loss=jnp.asarray(loss),
        gradients=gradients or tree(),
        params=params or tree(),
        updated=(updated or tree(),),
    )


def explained(found, seeds=(0,)):
    return divergence.explain(found, NAMES, seeds=seeds, steps_per_epoch=4)


def test_finite_steps_are_not_noted():
    found = noted(divergence.none_yet(3), 1, images=1e30, loss=1e30, gradients=tree(second=[-1e30, 0.0]))
    assert explained(found) is None


def test_uint8_images_are_finite():
    assert explained(noted(divergence.none_yet(3), 1, images=np.full((2, 2), 255, np.uint8))) is None


@pytest.mark.parametrize("value", [jnp.nan, jnp.inf, -jnp.inf])
@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ("images", "the images are not finite at step 7, in epoch 2; look for nan"),
        (
            "loss",
            "the loss is not finite at step 7, in epoch 2: the run has diverged, first in parameter group 'third'",
        ),
        ("gradients", "though the loss is: first in parameter group 'second' (and 1 more)"),
        (
            "updated",
            "the update is not finite at step 7, in epoch 2: the run has diverged, first in parameter group 'second'",
        ),
    ],
)
def test_what_is_not_finite_is_named(where, value, expected):
    fault = {
        "images": {"images": [0.0, value], "loss": value},
        "loss": {"loss": value, "gradients": tree(first=value, second=value, third=value), "params": tree(third=-5.0)},
        "gradients": {"gradients": tree(first=value, second=value)},
        "updated": {"updated": tree(second=[0.0, value])},
    }[where]
    assert expected in explained(noted(divergence.none_yet(3), 7, **fault))


def test_the_first_step_stays():
    found = noted(divergence.none_yet(3), 3, gradients=tree(first=jnp.nan))
    found = noted(found, 4, loss=jnp.nan, gradients=tree(third=jnp.nan))
    assert "at step 3" in explained(found)
    assert "'first'" in explained(found)


def test_the_first_of_several_seeds_is_named():
    losses = jnp.asarray([[1.0, 1.0, 1.0], [1.0, 1.0, jnp.nan], [1.0, jnp.inf, jnp.nan]])
    found = jax.tree.map(lambda leaf: jnp.stack([leaf] * 3), divergence.none_yet(3))
    for step, loss in enumerate(losses, start=1):
        found = jax.vmap(lambda before, loss, step=step: noted(before, step, loss=loss))(found, loss)
    assert "at step 2, in epoch 1, of seed 12" in explained(found, seeds=range(10, 13))


def test_groups_are_in_the_order_of_the_constructor():
    model = types.SimpleNamespace(zeta=1, alpha=2, other=3)
    assert divergence.group_names(model, {"alpha": 0, "late": 0, "zeta": 0}) == ("zeta", "alpha", "late")


class Marked:
    """A source in which one example has a value in every pixel."""

    def __init__(self, source, example, value):
        self.source, self.example, self.value = source, example, value

    def __len__(self):
        return len(self.source)

    def fetch(self, indices):
        batch = self.source.fetch(indices)
        marked = (indices == self.example)[:, None, None, None]
        return {**batch, "image": np.where(marked, np.float32(self.value), batch["image"])}


def mark(patch, example, value):
    """Marks an example of the training split once it has been read: the readers of files refuse what is not finite."""

    def load(config):
        dataset = load_data(config)
        return dataclasses.replace(dataset, train=Marked(dataset.train, example, value))

    patch.setattr(run, "load_data", load)


def first_steps(seed):
    """The first step, counted from 1, that sees each training example."""
    order = data.index_batches(NUM_TRAIN, BATCH_SIZE, seed=seed)
    seen: dict[int, int] = {}
    for step in range(LAST):
        for example in order[step]:
            seen.setdefault(int(example), step + 1)
    return seen


def rooted(self, images):
    # The root has no derivative at zero, where only a marked image leads it.
    unmarked = (jnp.max(jnp.abs(images)) < 100).astype(images.dtype)
    hidden = self.norm(self.hidden(images.reshape(images.shape[0], -1)))
    hidden = hidden + 0.01 * jnp.sqrt((1 + hidden**2) * unmarked)
    return self.output(self.dropout(nnx.relu(hidden)))


@pytest.fixture
def rooted_config(tiny_config, monkeypatch):
    monkeypatch.setattr(conftest.TinyNetwork, "__call__", rooted)
    return tiny_config


@pytest.fixture(scope="module")
def undisturbed_run(tmp_path_factory):
    return tmp_path_factory.mktemp("undisturbed")


@pytest.fixture
def undisturbed(rooted_config, undisturbed_run):
    """The records of a run whose values are all finite, made once."""
    main(flags(undisturbed_run, *FIELDS))  # again it only prints its summary
    return records(undisturbed_run)


@pytest.mark.parametrize(
    ("value", "log_every", "message"),
    [
        (np.nan, 0, "the images are not finite"),
        (1e30, 1, "the loss is not finite"),
        (1e3, 0, "the gradients are not finite"),
    ],
    ids=["nan in an image", "overflow", "root at zero"],
)
def test_a_run_that_is_not_finite_stops_and_keeps_what_was(
    value, log_every, message, undisturbed, tmp_path, monkeypatch, capfd
):
    example = next(example for example, step in first_steps(0).items() if step == 6)
    arguments = flags(tmp_path, f"log_every_steps={log_every}", *FIELDS)
    with monkeypatch.context() as patch:
        mark(patch, example, value)
        error = refused(capfd, arguments)
    assert f"{message} at step 6, in epoch 2" in error
    assert "the checkpoint of step 4, before it, is kept" in error
    if message == "the gradients are not finite":
        assert "first in parameter group 'norm' (and 1 more)" in error
    elif message == "the loss is not finite":
        assert "first in parameter group" in error
    assert saved_steps(tmp_path)[-1] == 4
    assert max(record["step"] for record in records(tmp_path)) <= 5
    main(arguments)
    logged = {"step", "epoch"} if log_every else {"epoch"}
    assert records(tmp_path) == [record for record in undisturbed if record["kind"] in logged]


def test_of_several_seeds_the_first_to_be_not_finite_is_named(tiny_config, tmp_path, monkeypatch, capfd):
    first, second = first_steps(0), first_steps(1)
    example = next(example for example in first if second.get(example, LAST) == 2 and first[example] > 2)
    mark(monkeypatch, example, np.nan)
    error = refused(capfd, flags(tmp_path, "num_seeds=2", *FIELDS))
    assert "at step 2, in epoch 1, of seed 1" in error
    assert "no checkpoint was saved" in error


def test_a_file_with_nan_is_refused_before_training(tiny_config, tmp_path, capfd):
    images, labels = np.random.default_rng(0).random((40, 8, 8), np.float32), np.arange(40) % 10
    images[3] = np.nan
    np.savez(tmp_path / "digits.npz", train_images=images, train_labels=labels)
    error = refused(capfd, flags(tmp_path / "run", "dataset=npz", f"data_dir={tmp_path / 'digits.npz'}", *FIELDS))
    assert "digits.npz, train: 64 values are NaN or infinite" in error
    assert not (tmp_path / "run" / "config.json").exists()


def test_divergence_by_too_large_a_step_names_a_group(tiny_config, tmp_path, capfd):
    error = refused(capfd, flags(tmp_path, "optimizer=sgd", "learning_rate=1e30", "momentum=0", *FIELDS))
    assert "the run has diverged, first in parameter group" in error
    assert not (tmp_path / checkpoints.FOLDER).exists() or saved_steps(tmp_path) == []

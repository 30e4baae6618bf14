import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from sklearn.datasets import load_digits

from experiments import data
from experiments.main import main
from experiments.training import checkpoints, divergence
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


def digits_file(path, *, mark=None):
    """The first digits as an .npz file; `mark` fills one image of the training split with a value."""
    digits = load_digits()
    images, labels = (digits.images[:140] / 16).astype(np.float32), digits.target[:140]
    if mark is not None:
        example, value = mark
        images[np.random.default_rng(0).permutation(100)[30 + example]] = value
    np.savez(
        path, train_images=images[:100], train_labels=labels[:100], test_images=images[100:], test_labels=labels[100:]
    )


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


@pytest.mark.parametrize(
    ("value", "call", "log_every", "message"),
    [
        (np.nan, None, 0, "the images are not finite"),
        (1e30, None, 1, "the loss is not finite"),
        (1e3, rooted, 0, "the gradients are not finite"),
    ],
    ids=["nan in an image", "overflow", "root at zero"],
)
def test_a_run_that_is_not_finite_stops_and_keeps_what_was(
    value, call, log_every, message, tiny_config, tmp_path, monkeypatch, capfd
):
    if call:
        monkeypatch.setattr(conftest.TinyNetwork, "__call__", call)
    example, step = next((example, step) for example, step in first_steps(0).items() if step == 6)
    fields = ("dataset=npz", f"log_every_steps={log_every}", *FIELDS)
    file = tmp_path / "digits.npz"
    digits_file(file, mark=(example, value))
    error = refused(capfd, flags(tmp_path / "run", f"data_dir={file}", *fields))
    assert f"{message} at step {step}, in epoch 2" in error
    assert "the checkpoint of step 4, before it, is kept" in error
    if call:
        assert "first in parameter group 'norm' (and 1 more)" in error
    elif message == "the loss is not finite":
        assert "first in parameter group" in error
    assert saved_steps(tmp_path / "run")[-1] == 4
    assert max(record["step"] for record in records(tmp_path / "run")) <= 5
    digits_file(file)
    main(flags(tmp_path / "run", f"data_dir={file}", *fields))
    main(flags(tmp_path / "whole", f"data_dir={file}", *fields))
    assert records(tmp_path / "run") == records(tmp_path / "whole")


def test_of_several_seeds_the_first_to_be_not_finite_is_named(tiny_config, tmp_path, capfd):
    first, second = first_steps(0), first_steps(1)
    example = next(example for example in first if second.get(example, LAST) == 2 and first[example] > 2)
    digits_file(tmp_path / "digits.npz", mark=(example, np.nan))
    fields = ("dataset=npz", f"data_dir={tmp_path / 'digits.npz'}", "num_seeds=2", *FIELDS)
    error = refused(capfd, flags(tmp_path / "run", *fields))
    assert "at step 2, in epoch 1, of seed 1" in error
    assert "no checkpoint was saved" in error


def test_divergence_by_too_large_a_step_names_a_group(tiny_config, tmp_path, capfd):
    error = refused(capfd, flags(tmp_path, "optimizer=sgd", "learning_rate=1e30", "momentum=0", *FIELDS))
    assert "the run has diverged, first in parameter group" in error
    assert not (tmp_path / checkpoints.FOLDER).exists() or saved_steps(tmp_path) == []

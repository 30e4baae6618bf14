import os
import pathlib
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.errors import UserError
from experiments.training import checkpoints
from experiments.training.checkpoints import Checkpoints
from experiments.training.parallel import create_layout
from tests.experiments.training.test_reliability import LATE

# Minutes together.
pytestmark = pytest.mark.slow


def small_state(step):
    values = jax.random.normal(jax.random.key(step), (40, 50))
    return {"step": jnp.asarray(step), "kernel": values, "flag": jnp.asarray(True), "key": jax.random.key(step)}


@pytest.fixture(scope="module")
def two_checkpoints(tmp_path_factory):
    """A folder with checkpoints of steps 1 and 2, both with a validation accuracy."""
    folder = tmp_path_factory.mktemp("two")
    with Checkpoints(folder, create_layout(1, batch_size=1, seeded=False)) as saved:
        for step in (1, 2):
            saved.save(step, small_state(step), {"input": {"next": step}}, accuracy=0.5)
    return folder


def emptied(path):
    os.truncate(path, 0)


def halved(path):
    os.truncate(path, path.stat().st_size // 2)


def one_byte_short(path):
    os.truncate(path, path.stat().st_size - 1)


def zeroed(path):
    path.write_bytes(bytes(path.stat().st_size))


@LATE
@pytest.mark.usefixtures("late_answers")
@pytest.mark.parametrize("harm", [pathlib.Path.unlink, emptied, halved, one_byte_short, zeroed])
def test_any_damaged_file_of_a_checkpoint_is_harmless_or_noticed(harm, two_checkpoints, tmp_path):
    last = pathlib.Path(checkpoints.FOLDER) / "2"
    files = sorted(path.relative_to(two_checkpoints) for path in (two_checkpoints / last).rglob("*") if path.is_file())
    assert len(files) > 10
    noticed = 0
    for index, name in enumerate(files):
        folder = tmp_path / str(index)
        shutil.copytree(two_checkpoints, folder)
        if (folder / name).stat().st_size == 0:
            continue
        harm(folder / name)
        with Checkpoints(folder, create_layout(1, batch_size=1, seeded=False)) as opened:
            (state, position), told = opened.resume(small_state(0))
            assert opened.last == (1 if told else 2), name
        step = position["input"]["next"]
        assert step == (1 if told else 2)
        for name, expected in small_state(step).items():
            if name == "key":
                state[name], expected = jax.random.key_data(state[name]), jax.random.key_data(expected)
            np.testing.assert_array_equal(state[name], expected)
        noticed += bool(told)
    assert noticed >= 5


def test_another_state_is_no_damage(two_checkpoints, tmp_path):
    shutil.copytree(two_checkpoints, tmp_path / "run")
    other = {**small_state(0), "kernel": jnp.zeros((3, 3))}
    with (
        Checkpoints(tmp_path / "run", create_layout(1, batch_size=1, seeded=False)) as opened,
        pytest.raises(UserError, match="of another network"),
    ):
        opened.resume(other)
    assert not (tmp_path / "run" / checkpoints.ASIDE).exists()

"""Thousands of generated mistakes: each is one line on the error stream and exit code 2, and nothing is trained."""

import contextlib
import functools
import io
import random

import jax
import pytest
import sklearn.datasets
from flax import nnx

from experiments.main import main
from experiments.training import run as train
from tests.experiments.config.mistakes import DEFAULTS, MISTAKES, text

TRIALS = 400
pytestmark = pytest.mark.slow


class StartedError(Exception):
    """The run was about to start."""


@pytest.fixture
def nothing_trains(tmp_path, monkeypatch):
    """Everything up to the network is done, which is refused or said to be built; the digits are read once."""
    monkeypatch.chdir(tmp_path)

    def start(*_, **__):
        raise StartedError

    def build(config, build_model, **_):
        if config.model_overrides:
            build_model(nnx.Rngs(0))
        raise StartedError

    monkeypatch.setattr(jax.distributed, "initialize", start)
    monkeypatch.setattr(train, "create_program", build)
    monkeypatch.setattr(sklearn.datasets, "load_digits", functools.cache(sklearn.datasets.load_digits))
    return tmp_path


def outcome(arguments):
    """Exit code and error stream of the program; None where it would have started a run."""
    errors = io.StringIO()
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(errors):
        try:
            main(arguments)
        except SystemExit as stop:
            return stop.code, errors.getvalue()
        except StartedError:
            return None, errors.getvalue()
    return 0, errors.getvalue()


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: mistake.__name__)
def test_generated_mistakes_are_refused_in_one_line(mistake, nothing_trains):
    for trial in range(TRIALS):
        arguments = mistake(random.Random(f"{mistake.__name__} {trial}"), nothing_trains)
        code, errors = outcome(arguments)
        assert code == 2, arguments
        assert errors.startswith("error: "), (arguments, errors)
        assert len(errors.splitlines()) == 1, (arguments, errors)


def test_anything_at_all_is_refused_or_starts(nothing_trains):
    rng, started = random.Random(0), 0
    for trial in range(2 * TRIALS):
        field = rng.choice([*DEFAULTS, "model_overrides.attention"])
        if field in ("model", "z2_model"):
            continue
        arguments = [
            f"--config.{field}={rng.choice([text(rng), str(rng.randrange(-5, 50)), str(rng.random()), 'True'])}"
        ]
        code, errors = outcome([*arguments, f"--workdir=run{trial}"])
        assert code in (None, 2), arguments
        assert len(errors.splitlines()) == (1 if code else 0), (arguments, errors)
        started += code is None
    assert started > TRIALS // 4

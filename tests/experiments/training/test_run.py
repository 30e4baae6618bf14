import json
import os
import signal

import numpy as np
import pytest

from experiments.errors import UserError
from experiments.results import logs
from experiments.training import run as train

VOLATILE = {"time", "seconds", "images_per_second", "waiting_for_input", "compile_seconds"}
STEPS_PER_EPOCH = 70 // 16


def records(workdir):
    return [
        {name: value for name, value in record.items() if name not in VOLATILE} for record in logs.read_metrics(workdir)
    ]


class BreakOffError(Exception):
    """What breaks off a run in these tests."""


@pytest.fixture(scope="module")
def finished_runs(tmp_path_factory):
    return {}, tmp_path_factory


@pytest.fixture
def uninterrupted(finished_runs):
    """A function from a configuration to the work directory of its whole run, made once."""
    made, factory = finished_runs

    def run(config):
        key = config.to_json()
        if key not in made:
            made[key] = factory.mktemp("whole")
            train.run(config, made[key])
        return made[key]

    return run


def run_until(last_step, config, workdir, monkeypatch):
    """Starts a run and breaks it off, with no chance to save, after a step."""
    step = logs.Terminal.step

    def stop(self, number, **fields):
        step(self, number, **fields)
        if number == last_step:
            raise BreakOffError

    with monkeypatch.context() as patch:
        patch.setattr(logs.Terminal, "step", stop)
        with pytest.raises(BreakOffError):
            train.run(config, workdir)


def test_a_run_leaves_everything_that_it_promises(drawing_config, tmp_path, capsys):
    result = train.run(drawing_config, tmp_path)
    for name in (
        "config.json",
        "metrics.jsonl",
        "summary.json",
        "learning_curve.png",
        "predictions.png",
        "confusion.png",
    ):
        assert (tmp_path / name).stat().st_size > 100, name
    assert list((tmp_path / "tensorboard").iterdir())
    lines = records(tmp_path)
    assert [line["step"] for line in lines if line["kind"] == "step"] == list(range(1, 3 * STEPS_PER_EPOCH + 1))
    assert [line["epoch"] for line in lines if line["kind"] == "epoch"] == [1, 2, 3]
    assert json.loads((tmp_path / "summary.json").read_text())["test_accuracy"] == result["test_accuracy"]
    assert np.sum(result["confusion_matrix"]) == 40
    assert np.trace(result["confusion_matrix"]) / 40 == pytest.approx(result["test_accuracy"])
    assert len(result["quarter_turn_accuracy"]) == 4
    # A linear map of the pixels is not invariant, and the measurement must say so; the identity changes nothing.
    assert result["equivariance"]["relative"][0] == 0
    assert min(result["equivariance"]["relative"][1:]) > 1e-2
    assert "test accuracy" in capsys.readouterr().out


def test_training_learns(tiny_config, tmp_path):
    tiny_config.num_train, tiny_config.num_epochs, tiny_config.augmentation = 0, 8, ()
    result = train.run(tiny_config, tmp_path)
    losses = [line["train_loss"] for line in records(tmp_path) if line["kind"] == "epoch"]
    assert losses[-1] < 0.5 * losses[0]
    assert result["best_epoch"] <= 8


# Within the first epoch, just after an epoch, within the last epoch.
@pytest.mark.parametrize("step", [2, *(pytest.param(step, marks=pytest.mark.slow) for step in (5, 11))])
def test_an_interrupted_run_repeats_the_losses_of_an_uninterrupted_one(
    step, tiny_config, uninterrupted, tmp_path, monkeypatch
):
    tiny_config.checkpoint_every_steps = 3
    whole = uninterrupted(tiny_config)
    run_until(step, tiny_config, tmp_path / "parts", monkeypatch)
    result = train.run(tiny_config, tmp_path / "parts")
    assert records(tmp_path / "parts") == records(whole)
    assert result["test_loss"] == json.loads((whole / "summary.json").read_text())["test_loss"]


def test_a_signal_saves_and_the_same_command_goes_on(tiny_config, uninterrupted, tmp_path, monkeypatch, capsys):
    whole = uninterrupted(tiny_config)
    step = logs.Terminal.step

    def send(self, number, **fields):
        step(self, number, **fields)
        if number == 6 and "status" in fields:
            os.kill(os.getpid(), signal.SIGTERM)

    with monkeypatch.context() as patch:
        patch.setattr(logs.Terminal, "step", send)
        assert train.run(tiny_config, tmp_path / "parts") is None
    assert "run the same command to resume" in capsys.readouterr().out
    assert not (tmp_path / "parts" / "summary.json").exists()
    train.run(tiny_config, tmp_path / "parts")
    assert "resuming at step 6" in capsys.readouterr().out
    assert records(tmp_path / "parts") == records(whole)


def test_a_finished_run_says_so_and_trains_no_more(tiny_config, tmp_path, monkeypatch, capsys):
    first = train.run(tiny_config, tmp_path)
    monkeypatch.setattr(train, "create_program", None)
    assert train.run(tiny_config, tmp_path)["test_loss"] == first["test_loss"]
    assert "finished" in capsys.readouterr().out


@pytest.mark.slow
def test_more_epochs_go_on_from_the_last_one(tiny_config, uninterrupted, tmp_path):
    tiny_config.schedule, tiny_config.num_epochs = "constant", 2
    train.run(tiny_config, tmp_path / "parts")
    tiny_config.num_epochs = 3
    train.run(tiny_config, tmp_path / "parts")
    whole = uninterrupted(tiny_config)
    assert records(tmp_path / "parts") == records(whole)


def test_another_configuration_is_refused_and_nothing_overwritten(tiny_config, tmp_path):
    train.run(tiny_config, tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file() and path.name != ".lock"}
    for field, value in {"learning_rate": 0.5, "model": "tiny_z2", "seed": 3}.items():
        other = tiny_config.copy_and_resolve_references()
        other[field] = value
        with pytest.raises(UserError, match=f"holds a run with {field}=.*nothing was changed"):
            train.run(other, tmp_path)
    assert before == {
        path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file() and path.name != ".lock"
    }


def test_a_run_that_could_not_start_leaves_the_work_directory_free(tiny_config, tmp_path):
    missing = tiny_config.copy_and_resolve_references()
    missing.dataset, missing.data_dir = "npz", str(tmp_path / "nowhere.npz")
    with pytest.raises(UserError, match="no file"):
        train.run(missing, tmp_path / "run")
    assert train.run(tiny_config, tmp_path / "run")


@pytest.mark.slow
def test_a_checkpoint_of_another_network_is_refused(tiny_config, tmp_path, monkeypatch):
    tiny_config.model_overrides.features = 4
    run_until(6, tiny_config, tmp_path, monkeypatch)
    (tmp_path / "config.json").unlink()
    tiny_config.model_overrides.features = 8
    with pytest.raises(UserError, match=r"of another network or optimiser: .*nothing was changed"):
        train.run(tiny_config, tmp_path)


def test_the_step_is_compiled_once(tiny_config, tmp_path, monkeypatch):
    programs = []
    create = train.create_program

    def keep(*arguments, **fields):
        program, state = create(*arguments, **fields)
        programs.append(program)
        return program, state

    monkeypatch.setattr(train, "create_program", keep)
    tiny_config.checkpoint_every_steps = 3
    run_until(5, tiny_config, tmp_path, monkeypatch)
    train.run(tiny_config, tmp_path)
    for program in programs:
        assert program.train_step._cache_size() == 1


@pytest.mark.slow
def test_comparison_with_the_network_without_the_group(tiny_config, tmp_path, capsys):
    tiny_config.compare_z2 = True
    result = train.run(tiny_config, tmp_path)
    assert result["z2"]["model"] == "tiny_z2"
    assert (tmp_path / "z2" / "summary.json").exists()
    assert "trained here" in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.parametrize(
    "fields",
    [
        {"schedule": "plateau", "decay_factor": 0.5, "plateau_patience": 1, "precision": "bfloat16"},
        {
            "optimizer": "sgd",
            "schedule": "multi_step",
            "decay_epochs": (1,),
            "gradient_clip": 1.0,
            "ema_decay": 0.9,
            "label_smoothing": 0.1,
        },
    ],
)
def test_options_train_and_resume_exactly(fields, tiny_config, uninterrupted, tmp_path, monkeypatch):
    tiny_config.update(fields)
    whole = uninterrupted(tiny_config)
    run_until(10, tiny_config, tmp_path / "parts", monkeypatch)
    train.run(tiny_config, tmp_path / "parts")
    assert records(tmp_path / "parts") == records(whole)


@pytest.mark.slow
@pytest.mark.parametrize("side_by_side", [False, True])
def test_several_seeds_at_once_are_the_seeds_one_by_one(
    side_by_side, tiny_config, uninterrupted, tmp_path, monkeypatch
):
    monkeypatch.setattr("experiments.training.program.seeds_side_by_side", lambda: side_by_side)
    tiny_config.num_seeds = 2
    both = train.run(tiny_config, tmp_path / "both")
    together = [line["train_loss_by_seed"] for line in records(tmp_path / "both") if line["kind"] == "epoch"]
    tiny_config.num_seeds = 1
    for index, seed in enumerate([0, 1]):
        tiny_config.seed = seed
        alone = [line["train_loss"] for line in records(uninterrupted(tiny_config)) if line["kind"] == "epoch"]
        np.testing.assert_allclose([losses[index] for losses in together], alone, rtol=2e-5)
    assert len(both["test_accuracy_by_seed"]) == 2
    assert both["test_accuracy_std"] == pytest.approx(np.std(both["test_accuracy_by_seed"], ddof=1))


def test_divergence_is_explained(tiny_config, tmp_path):
    tiny_config.optimizer, tiny_config.learning_rate, tiny_config.momentum = "sgd", 1e30, 0.0
    with pytest.raises(UserError, match="the run has diverged"):
        train.run(tiny_config, tmp_path)

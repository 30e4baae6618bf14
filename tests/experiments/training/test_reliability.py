"""Faults planted in runs: each ends with one line, loses nothing, and the run goes on to the losses it would have had."""

import errno
import os
import pathlib
import resource
import shutil
import signal
import subprocess
import sys

import numpy as np
import pytest

from experiments.main import main
from experiments.results import classification, logs
from experiments.training import checkpoints
from experiments.training.checkpoints import Checkpoints
from tests.experiments import tiny_run
from tests.experiments.training.test_run import BreakOffError, records, run_until

# Minutes together.
pytestmark = pytest.mark.slow

ROOT = pathlib.Path(__file__).parents[3]
STEPS_PER_EPOCH = 4
# A read or write that fails leaves others under way, whose answers come when nobody listens any more.
LATE = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
FIELDS = ("checkpoint_every_steps=3", "augmentation=")


def flags(workdir, *fields):
    return ["--config", tiny_run.__file__, "--workdir", str(workdir), *(f"--config.{field}" for field in fields)]


def refused(capfd, arguments):
    """Runs the program, which must end with one line and exit code 2, and returns the line."""
    capfd.readouterr()
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    errors = capfd.readouterr().err
    assert errors.startswith("error: "), errors
    assert errors.count("\n") == 1, errors
    return errors


def saved_steps(workdir):
    return sorted(int(path.name) for path in (workdir / checkpoints.FOLDER).iterdir() if path.name.isdecimal())


def contents(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.name != ".lock"}


@pytest.fixture(scope="module")
def whole_runs(tmp_path_factory):
    return {}, tmp_path_factory


@pytest.fixture
def whole(tiny_config, whole_runs):
    """A function from fields to the records of an undisturbed run with them, made once."""
    made, factory = whole_runs

    def run(*fields):
        if fields not in made:
            made[fields] = factory.mktemp("whole")
            main(flags(made[fields], *fields))
        return records(made[fields])

    return run


# Faults within a run. Each is a function (monkeypatch) that lets the program meet it at step 10.


def at_step(monkeypatch, number, act):
    step = logs.Terminal.step

    def stepped(self, now, **fields):
        step(self, now, **fields)
        if now == number and "status" not in fields:
            act()

    monkeypatch.setattr(logs.Terminal, "step", stepped)


def full_metrics_file(monkeypatch, workdir):
    write = logs.MetricsLog.write

    def onto_a_full_disk(self, record):
        if record["step"] == 10:
            self._file.close()
            self._file = pathlib.Path("/dev/full").open("w")  # noqa: SIM115
        write(self, record)

    monkeypatch.setattr(logs.MetricsLog, "write", onto_a_full_disk)


def full_event_file(monkeypatch, workdir):
    write = logs.MetricsLog.write

    def onto_a_full_disk(self, record):
        if record["step"] == 10:
            records = self._events._events._py_recordio_writer
            records._writer.close()
            records._writer = pathlib.Path("/dev/full").open("wb")  # noqa: SIM115
        write(self, record)

    monkeypatch.setattr(logs.MetricsLog, "write", onto_a_full_disk)


def limited_file_size(monkeypatch, workdir):
    # The operating system then refuses longer files, to the threads and the C++ that write a checkpoint as well.
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    monkeypatch.callback(lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard)))
    at_step(monkeypatch, 7, lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (4000, hard)))


def full_while_the_position_is_written(monkeypatch, workdir):
    def fail():
        async def refuse(*_, **__):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        monkeypatch.setattr(checkpoints.ocp.JsonCheckpointHandler, "async_save", refuse)

    at_step(monkeypatch, 7, fail)


def checkpoint_folder_gone(monkeypatch, workdir):
    folder, elsewhere = workdir / checkpoints.FOLDER, workdir / "elsewhere"

    def replace():
        folder.rename(elsewhere)
        folder.write_text("")

    def back():
        folder.unlink()
        elsewhere.rename(folder)

    monkeypatch.callback(back)
    at_step(monkeypatch, 10, replace)


def summary_refused(monkeypatch, workdir):
    (workdir / "summary.json.tmp").mkdir()
    monkeypatch.callback((workdir / "summary.json.tmp").rmdir)


FAULTS = {
    "disk full under metrics.jsonl": (full_metrics_file, "No space left on device", 9),
    "disk full under the event file": (full_event_file, "No space left on device", 9),
    "no room for the arrays of a checkpoint": (limited_file_size, "cannot be written", 4),
    "disk full under a checkpoint": (full_while_the_position_is_written, "cannot be written (No space left", 4),
    "checkpoint folder gone": (checkpoint_folder_gone, "", 8),
    "summary cannot be written": (summary_refused, "Is a directory", 12),
}


class Patches:
    """A monkeypatch that also calls functions at its end."""

    def __init__(self, monkeypatch):
        self.setattr, self.callbacks = monkeypatch.setattr, []

    def callback(self, function):
        self.callbacks.append(function)


@LATE
@pytest.mark.usefixtures("late_answers")
@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_while_writing_ends_with_one_line_and_the_run_goes_on(
    fault, tiny_config, whole, tmp_path, monkeypatch, capfd
):
    plant, message, kept = FAULTS[fault]
    (tmp_path / "run").mkdir()
    with monkeypatch.context() as patch:
        patches = Patches(patch)
        plant(patches, tmp_path / "run")
        try:
            error = refused(capfd, flags(tmp_path / "run", *FIELDS))
        finally:
            for callback in patches.callbacks:
                callback()
    assert message in error
    assert "to resume from it" in error
    saved = saved_steps(tmp_path / "run")[-1]
    assert saved >= kept
    main(flags(tmp_path / "run", *FIELDS))
    assert f"resuming at step {saved}" in capfd.readouterr().out
    assert records(tmp_path / "run") == whole(*FIELDS)


@pytest.mark.parametrize("workdir", ["file", "file/below", "/dev/null/run", "/proc/run", "x" * 300])
def test_a_work_directory_that_cannot_be(workdir, tiny_config, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("")
    assert "cannot be used" in refused(capfd, flags(workdir))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
@pytest.mark.parametrize("folder", [".", checkpoints.FOLDER, "tensorboard"])
def test_a_directory_that_may_not_be_written(folder, tiny_config, whole, tmp_path, monkeypatch, capfd):
    with monkeypatch.context() as patch:
        at_step(patch, 10, lambda: (_ for _ in ()).throw(BreakOffError))
        with pytest.raises(BreakOffError):
            main(flags(tmp_path, *FIELDS))
    (tmp_path / folder).chmod(0o500)
    error = refused(capfd, flags(tmp_path, *FIELDS))
    (tmp_path / folder).chmod(0o700)
    assert "ermission denied" in error
    main(flags(tmp_path, *FIELDS))
    assert records(tmp_path) == whole(*FIELDS)


# Checkpoints that are damaged while nothing runs.


@pytest.fixture(scope="module")
def broken_off(whole_runs):
    """A work directory whose run broke off after step 10, so that 8 and 9 are saved; made once."""
    made, factory = whole_runs

    def run(config):
        if "broken off" not in made:
            made["broken off"] = factory.mktemp("broken_off")
            with pytest.MonkeyPatch.context() as patch:
                run_until(10, config, made["broken off"], patch)
        return made["broken off"]

    return run


def arrays_cut(folder):
    # All of them: orbax leaves some behind that nothing refers to any more.
    for path in folder.glob("state/**/d/*"):
        os.truncate(path, path.stat().st_size // 2)


DAMAGES = {
    "arrays cut short": arrays_cut,
    "position cut short": lambda folder: os.truncate(folder / "position" / "metadata", 100),
    "index of the arrays missing": lambda folder: (folder / "state" / "manifest.ocdbt").unlink(),
    "everything missing": lambda folder: [shutil.rmtree(path) for path in folder.iterdir() if path.is_dir()],
}


@LATE
@pytest.mark.usefixtures("late_answers")
@pytest.mark.parametrize("damage", DAMAGES)
def test_the_checkpoint_before_a_damaged_one_takes_its_place(damage, tiny_config, broken_off, whole, tmp_path, capfd):
    tiny_config.checkpoint_every_steps, tiny_config.augmentation = 3, ()
    workdir = tmp_path / "run"
    shutil.copytree(broken_off(tiny_config), workdir)
    assert saved_steps(workdir) == [8, 9]
    DAMAGES[damage](workdir / checkpoints.FOLDER / "9")
    capfd.readouterr()
    main(flags(workdir, *FIELDS))
    printed = capfd.readouterr()
    assert "the checkpoint of step 9 cannot be read" in printed.out
    assert "resuming at step 8" in printed.out
    assert (workdir / checkpoints.ASIDE / "9").is_dir()
    assert records(workdir) == whole(*FIELDS)


@LATE
@pytest.mark.usefixtures("late_answers")
def test_a_damaged_best_checkpoint_is_replaced_by_the_next_best(tiny_config, tmp_path, monkeypatch, capfd):
    restore_best = Checkpoints.restore_best

    def damaged(self, state):
        assert self.best != self.last
        self.wait()
        shutil.rmtree(self.folder / str(self.best) / "state")
        return restore_best(self, state)

    accuracies = iter([0.5, 0.25, 0.4])
    monkeypatch.setattr(Checkpoints, "restore_best", damaged)
    monkeypatch.setattr(classification, "metric", lambda *_: np.float64(next(accuracies, 0.5)))
    main(flags(tmp_path, *FIELDS))
    printed = capfd.readouterr().out
    assert "the checkpoint of step 4 cannot be read" in printed
    assert "testing the weights of epoch 3" in printed


@LATE
@pytest.mark.usefixtures("late_answers")
def test_without_a_usable_checkpoint_nothing_is_changed(tiny_config, broken_off, tmp_path, capfd):
    tiny_config.checkpoint_every_steps, tiny_config.augmentation = 3, ()
    workdir = tmp_path / "run"
    shutil.copytree(broken_off(tiny_config), workdir)
    for folder in (workdir / checkpoints.FOLDER).iterdir():
        arrays_cut(folder)
    before = contents(workdir)
    error = refused(capfd, flags(workdir, *FIELDS))
    assert "no checkpoint in" in error
    assert "nothing was changed" in error
    assert contents(workdir) == before


# Processes.


def start(workdir, *fields):
    command = [sys.executable, "-m", "tests.experiments.tiny_run", str(workdir), *fields]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_a_second_run_is_refused_and_a_signal_saves_and_exits_0(tiny_config, tmp_path, capfd):
    endless = ("num_epochs=100000", "schedule=constant", "checkpoint_every_steps=3")
    first = start(tmp_path / "run", *endless)
    line = first.stdout.readline()
    while "epoch   2/" not in line:
        assert line, first.communicate()
        line = first.stdout.readline()
    error = refused(capfd, flags(tmp_path / "run", *endless))
    assert f"is in use by process {first.pid} on" in error
    first.send_signal(signal.SIGTERM)
    output, errors = first.communicate(timeout=60)
    assert first.returncode == 0, errors
    assert errors == ""
    assert "stopped by signal 15; the state is saved" in output
    stopped = saved_steps(tmp_path / "run")[-1]
    assert stopped >= 2 * STEPS_PER_EPOCH
    more = (f"num_epochs={stopped // STEPS_PER_EPOCH + 1}", "schedule=constant", "checkpoint_every_steps=3")
    main(flags(tmp_path / "run", *more))
    assert f"resuming at step {stopped}" in capfd.readouterr().out
    main(flags(tmp_path / "whole", *more))
    assert records(tmp_path / "run") == records(tmp_path / "whole")


def test_a_damaged_configuration_refuses(tiny_config, tmp_path, capfd):
    tmp_path.joinpath("config.json").write_text('{"seed": 0,')
    before = contents(tmp_path)
    assert "expected JSON" in refused(capfd, flags(tmp_path))
    assert contents(tmp_path) == before

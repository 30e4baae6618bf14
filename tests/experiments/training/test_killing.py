import pathlib
import random
import signal
import subprocess
import sys
import time

import pytest

from experiments.results import logs
from tests.experiments.training.test_run import records

ROOT = pathlib.Path(__file__).parents[3]
NUM_EPOCHS, STEPS_PER_EPOCH = 20, 40
FIELDS = (f"num_epochs={NUM_EPOCHS}", f"num_train={16 * STEPS_PER_EPOCH}", "checkpoint_every_steps=7")


def start(workdir):
    command = [sys.executable, "-m", "tests.experiments.tiny_run", str(workdir), *FIELDS]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def kill_near(step, delay, process, workdir):
    """Kills a run some seconds after it has logged a step, wherever it then is."""
    process.stdout.readline()  # it has begun
    while process.poll() is None and max((line["step"] for line in logs.read_metrics(workdir)), default=0) < step:
        time.sleep(0.01)
    time.sleep(delay)
    process.kill()
    output, _ = process.communicate()
    assert process.returncode == -signal.SIGKILL, output


@pytest.mark.parametrize(
    "kills", [pytest.param(6, marks=pytest.mark.slow), pytest.param(20, marks=pytest.mark.full_size)]
)
def test_a_run_killed_many_times_repeats_the_losses_of_an_undisturbed_one(tmp_path, kills):
    undisturbed = start(tmp_path / "whole")
    output, _ = undisturbed.communicate()
    assert undisturbed.returncode == 0, output

    generator = random.Random(0)
    # The last tenth is left: a run that is complete cannot be killed. Of two steps that lie together the second is
    # logged already when the run starts again, which is then killed while it restores or compiles.
    steps = sorted(generator.randrange(NUM_EPOCHS * STEPS_PER_EPOCH * 9 // 10) for _ in range(kills))
    for step in steps:
        kill_near(step, generator.uniform(0, 0.5), start(tmp_path / "parts"), tmp_path / "parts")
    last = start(tmp_path / "parts")
    output, _ = last.communicate()
    assert last.returncode == 0, output
    assert records(tmp_path / "parts") == records(tmp_path / "whole")

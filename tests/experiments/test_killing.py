import pathlib
import random
import subprocess
import sys
import time

import pytest

from tests.experiments.test_train import records

ROOT = pathlib.Path(__file__).parents[2]
FIELDS = ("num_epochs=40", "num_train=640", "checkpoint_every_steps=7")


def start(workdir):
    command = [sys.executable, "-m", "tests.experiments.tiny_run", str(workdir), *FIELDS]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


@pytest.mark.slow
def test_a_run_killed_twenty_times_repeats_the_losses_of_an_undisturbed_one(tmp_path):
    undisturbed = start(tmp_path / "whole")
    began = time.monotonic()
    first_line = undisturbed.stdout.readline()
    import_time = time.monotonic() - began
    undisturbed.communicate()
    training_time = time.monotonic() - began - import_time
    assert undisturbed.returncode == 0, first_line

    generator = random.Random(0)
    kills = 0
    for _ in range(20):
        process = start(tmp_path / "parts")
        process.stdout.readline()
        try:
            process.communicate(timeout=generator.uniform(0, training_time / 5))
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            kills += 1
    last = start(tmp_path / "parts")
    output, _ = last.communicate()
    assert last.returncode == 0, output
    assert kills >= 10
    assert records(tmp_path / "parts") == records(tmp_path / "whole")

import json
import os
import pathlib
import socket
import subprocess
import sys

import numpy as np
import pytest

from experiments.errors import UserError
from experiments.results import logs
from experiments.training.parallel import create_layout, initialize

ROOT = pathlib.Path(__file__).parents[3]
FIELDS = {"batch_size": 16, "checkpoint_every_steps": 3, "num_epochs": 2, "schedule": "constant"}
# AdamW divides each gradient by its own size, so a gradient that is zero but for round-off becomes a step of full length,
# whose sign depends on the order of a sum. Batch norm makes such gradients: those of a pixel that is alike in all images
# (the tiny network has a weight for each) and of a factor that the attention of one input channel applies to all channels.
# Those two networks train with SGD; the self-attention network has layer norms and no such weight.
RUNS = {
    "two seeds of a tiny network, SGD": {"model": "tiny", "optimizer": "sgd", "num_seeds": 2},
    "attentive network, SGD": {"model": "digits_alpha_f_p4_cnn", "model_overrides.features": 2, "optimizer": "sgd"},
    "self-attention network, AdamW": {"model": "digits_r4_sa"},
}


def start(workdir, fields, *addresses, devices=1):
    environment = {
        **os.environ,
        "XLA_FLAGS": f"--xla_force_host_platform_device_count={devices}",
        "JAX_PLATFORMS": "cpu",
        "JAX_DISABLE_MOST_OPTIMIZATIONS": "1",  # compilation is most of the time
    }
    given = [f"{name}={value}" for name, value in fields.items()]
    command = [sys.executable, "-m", "tests.experiments.tiny_run", str(workdir), *given, *addresses]
    return subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def finish(*processes):
    for process in processes:
        _, errors = process.communicate(timeout=300)
        assert process.returncode == 0, errors


def losses(workdir):
    steps = [record for record in logs.read_metrics(workdir) if record["kind"] == "step"]
    return [record.get("loss_by_seed", record["loss"]) for record in steps]


def on_one_device(workdir, fields):
    finish(start(workdir, fields))
    return losses(workdir)


@pytest.fixture(scope="module", params=RUNS.values(), ids=RUNS)
def fields(request):
    return FIELDS | request.param


@pytest.fixture(scope="module")
def one(fields, tmp_path_factory):
    """The losses of an undisturbed run on one device."""
    return on_one_device(tmp_path_factory.mktemp("one"), fields)


@pytest.mark.slow
def test_eight_devices_give_the_losses_of_one_which_goes_on_from_their_checkpoint(fields, one, tmp_path):
    finish(start(tmp_path / "mixed", fields | {"num_epochs": 1}, devices=8))
    assert json.loads((tmp_path / "mixed" / "summary.json").read_text())["environment"]["num_devices"] == 8
    np.testing.assert_allclose(losses(tmp_path / "mixed"), one[: len(one) // 2], rtol=1e-5)
    np.testing.assert_allclose(on_one_device(tmp_path / "mixed", fields), one, rtol=1e-5)


@pytest.mark.slow
def test_two_processes_give_the_losses_of_one(fields, one, tmp_path):
    with socket.socket() as free:
        free.bind(("localhost", 0))
        address = f"coordinator_address=localhost:{free.getsockname()[1]}"
    addresses = [(address, "num_processes=2", f"process_id={index}") for index in range(2)]
    finish(*(start(tmp_path / "two", fields, *given) for given in addresses))
    np.testing.assert_allclose(losses(tmp_path / "two"), one, rtol=1e-5)


def test_layouts_that_cannot_be():
    with pytest.raises(UserError, match=r"num_devices: expected at most .*got 99"):
        create_layout(99, batch_size=99, seeded=False)
    with pytest.raises(UserError, match="together; got only some"):
        initialize("localhost:1", None, None)

"""PyTorch beside ours: the process is tried with a stand-in script, the networks where PyTorch is installed."""

import pathlib
import sys

import pytest

from experiments.benchmark import torch_process
from experiments.errors import UserError
from gequi_jax import models

ANSWERS = """
import sys
print("ready", flush=True)
for number, _ in enumerate(sys.stdin):
    if number == 2:
        raise RuntimeError("out of memory")
    print(number + 0.5, flush=True)
"""


@pytest.fixture
def contender(tmp_path, monkeypatch):
    (tmp_path / "script.py").write_text(ANSWERS)
    monkeypatch.setattr(torch_process, "SCRIPT", tmp_path / "script.py")
    return torch_process.TorchContender(pathlib.Path(sys.executable), "rotmnist_p4_cnn", 4)


def test_each_run_is_one_step_of_the_process(contender):
    process = contender.prepare("step")
    assert [process.run(), process.run()] == [0.5, 1.5]
    with pytest.raises(UserError, match=r"stopped \(RuntimeError: out of memory\)"):
        process.run()
    process.close()


def test_a_process_that_cannot_start_says_why(contender, tmp_path):
    (tmp_path / "script.py").write_text("import nothing_of_that_name")
    with pytest.raises(UserError, match="ModuleNotFoundError"):
        contender.prepare("step")
    with pytest.raises(ValueError, match="passes: expected 'step'"):
        contender.prepare("forward")


@pytest.mark.parametrize("name", torch_process.NETWORKS)
def test_networks_have_our_parameters_and_are_invariant(name):
    torch = pytest.importorskip("torch")
    from experiments.benchmark import torch_networks

    assert set(torch_networks.LAYERS) == set(torch_process.NETWORKS)
    network = torch_networks.RotMnistNetwork(torch_networks.LAYERS[name]).eval()
    count = sum(parameter.numel() for parameter in network.parameters())
    assert f"{count / 1000:.2f}K" == f"{models.model_info(name).reported_params / 1000:.2f}K"
    images = torch.rand(2, 1, 28, 28)
    with torch.no_grad():
        change = network(images) - network(torch.rot90(images, 1, (-2, -1)))
    assert change.abs().max() < 1e-5

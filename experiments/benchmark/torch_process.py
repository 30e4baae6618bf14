"""PyTorch networks in a separate process, timed alternately with ours."""

import contextlib
import importlib.util
import pathlib
import subprocess
import sys

from experiments.benchmark.programs import STEP
from experiments.errors import UserError

SCRIPT = pathlib.Path(__file__).with_name("torch_networks.py")
NETWORKS = ("rotmnist_p4_cnn", "rotmnist_alpha_f_p4_cnn", "rotmnist_alpha_p4_cnn")


def find_interpreter(python: str | None) -> pathlib.Path | None:
    """The interpreter for PyTorch: the one named, or this one if it has PyTorch.

    Raises:
      UserError: the interpreter named has no PyTorch.
    """
    if python is None:
        return pathlib.Path(sys.executable) if importlib.util.find_spec("torch") else None
    try:
        subprocess.run([python, "-I", "-c", "import torch"], capture_output=True, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise UserError(
            f"--torch-python: expected a Python interpreter with PyTorch; got {python!r}; "
            "install PyTorch there or leave the option out"
        ) from error
    return pathlib.Path(python)


class TorchContender:
    """A network in PyTorch."""

    def __init__(self, python: pathlib.Path, network: str, batch_size: int):
        self._command = [str(python), "-I", str(SCRIPT), network, str(batch_size)]

    def prepare(self, passes: str) -> "TorchProcess":
        """Starts the process and waits until it is ready."""
        if passes != STEP:
            raise ValueError(f"passes: expected {STEP!r}, the only one of PyTorch; got {passes!r}")
        return TorchProcess(self._command)


class TorchProcess:
    """A running process that makes a training step for each line it reads."""

    temporary_bytes: int | None = None
    compile_seconds: float | None = None

    def __init__(self, command: list[str]):
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True)
        if self._answer() != "ready":
            self._fail()

    def run(self) -> float:
        """Makes one step and returns its seconds, as the process measures them."""
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write("\n")
            self._process.stdin.flush()
        answer = self._answer()
        return float(answer) if answer else self._fail()

    def close(self) -> None:
        """Ends the process."""
        self._process.kill()
        self._process.communicate()

    def _answer(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def _fail(self):
        self._process.kill()
        lines = self._process.communicate()[1].strip().splitlines()
        raise UserError(f"--torch-python: the PyTorch process stopped ({lines[-1] if lines else 'no message'})")

import subprocess
import sys

import pytest

from experiments.errors import UserError
from experiments.training.locking import NAME, locked

HOLD = """
import pathlib, sys, time
from experiments.training.locking import locked
with locked(pathlib.Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_second_holder_is_refused_and_told_who_holds(tmp_path):
    with (
        locked(tmp_path),
        pytest.raises(UserError, match=r"in use by process \d+ on .*choose another --workdir"),
        locked(tmp_path),
    ):
        pass
    with locked(tmp_path):
        pass


def test_a_killed_holder_leaves_no_lock_behind(tmp_path):
    holder = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    with holder:
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(UserError, match=f"process {holder.pid}"), locked(tmp_path):
            pass
        holder.kill()
    assert (tmp_path / NAME).exists()
    with locked(tmp_path):
        pass


def test_the_lock_is_released_after_an_error(tmp_path):
    with pytest.raises(RuntimeError), locked(tmp_path):
        raise RuntimeError
    with locked(tmp_path):
        pass

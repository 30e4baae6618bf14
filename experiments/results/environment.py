"""Hardware, versions and commit."""

import os
import pathlib
import platform
import subprocess
from typing import Any

import flax
import jax


def environment() -> dict[str, Any]:
    """Hardware, versions and commit, as plain data."""
    device = jax.devices()[0]
    return {
        "platform": device.platform,
        "device": device.device_kind,
        "num_devices": jax.device_count(),
        "num_processes": jax.process_count(),
        "machine": platform.machine(),
        "python": platform.python_version(),
        "jax": jax.__version__,
        "flax": flax.__version__,
        "glibc_tunables": os.environ.get("GLIBC_TUNABLES"),
        "commit": _commit(),
    }


def _commit() -> str | None:
    command = ["git", "-C", str(pathlib.Path(__file__).parent), "rev-parse", "--short", "HEAD"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None

"""Hardware, versions and commit."""

import pathlib
import platform
import subprocess
from typing import Any

import flax
import jax


def environment() -> dict[str, Any]:
    """Hardware, versions and commit."""
    device = jax.devices()[0]
    folder = pathlib.Path(__file__).parent
    try:
        command = ["git", "-C", str(folder), "rev-parse", "--short", "HEAD"]
        commit = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        commit = None
    return {
        "platform": device.platform,
        "device": device.device_kind,
        "num_devices": jax.device_count(),
        "num_processes": jax.process_count(),
        "machine": platform.machine(),
        "python": platform.python_version(),
        "jax": jax.__version__,
        "flax": flax.__version__,
        "commit": commit,
    }

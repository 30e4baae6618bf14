"""At most one run in a work directory: a lock of the operating system, which ends with its process."""

import fcntl
import os
import pathlib
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from experiments.errors import UserError

NAME = ".lock"


@contextmanager
def locked(workdir: pathlib.Path) -> Iterator[None]:
    """Creates the work directory and holds its lock.

    The lock (`flock`) ends with the process, however the process ends: the lock file of a killed run does not block
    others. The file contains the name of the holder, for the message.

    Raises:
      UserError: the directory cannot be created or written, or another run holds the lock.
    """
    try:
        workdir.mkdir(parents=True, exist_ok=True)
        handle = os.open(workdir / NAME, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise UserError(f"work directory {str(workdir)!r} cannot be used ({error.strerror}); choose another") from error
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        holder = os.read(handle, 200).decode(errors="replace").strip() or "another process"
        os.close(handle)
        raise UserError(f"{workdir} is in use by {holder}; wait until it ends, or choose another --workdir") from error
    try:
        # The name is only for a message: with a full disk it may be missing.
        with suppress(OSError):
            os.truncate(handle, 0)
            os.write(handle, f"process {os.getpid()} on {socket.gethostname()}\n".encode())
        yield
    finally:
        os.close(handle)

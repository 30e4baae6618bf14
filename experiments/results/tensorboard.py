"""TensorBoard event files, written by tensorboardX without TensorFlow."""

import pathlib

from tensorboardX.event_file_writer import EventsWriter
from tensorboardX.proto.event_pb2 import Event  # pyright: ignore[reportAttributeAccessIssue]  (created at run time)
from tensorboardX.summary import scalar


class ScalarWriter:
    """Appends scalars to a new event file.

    The records are written by the calling thread, so that it learns of a full disk; `SummaryWriter` of tensorboardX writes
    in the background.

    Args:
      folder: created if it does not exist. Event files of an earlier start of the run are removed from it.
    """

    def __init__(self, folder: pathlib.Path):
        folder.mkdir(parents=True, exist_ok=True)
        for old in folder.glob("events.out.tfevents.*"):
            old.unlink()
        self._events = EventsWriter(str(folder / "events"))

    def write(self, tag: str, value: float, step: int, *, wall_time: float) -> None:
        """Writes one number."""
        self._events.write_event(Event(wall_time=wall_time, step=step, summary=scalar(tag, value)))

    def flush(self) -> None:
        """Writes everything to the disk."""
        self._events.flush()

    def close(self) -> None:
        """Closes the file."""
        self._events.close()

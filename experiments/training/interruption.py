"""Stopping a run at the next step: SIGTERM from a cluster, or Ctrl-C."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import jax
from jax.experimental import multihost_utils

SIGNALS = (signal.SIGTERM, signal.SIGINT)


class StopRequest:
    """Whether a signal has arrived, and which one."""

    def __init__(self) -> None:
        self.signal: int | None = None

    def __bool__(self) -> bool:
        return self.signal is not None

    def reached(self, step: int) -> bool:
        """Whether to stop before this step; all processes of a run stop at the same step."""
        if jax.process_count() > 1 and multihost_utils.reached_preemption_sync_point(step):
            self.signal = signal.SIGTERM
        return self.signal is not None


@contextmanager
def stop_on_signals() -> Iterator[StopRequest]:
    """Turns the first SIGTERM or Ctrl-C into a request; a second one has its usual effect."""
    request = StopRequest()
    # With several processes JAX handles SIGTERM itself and agrees on the step.
    if threading.current_thread() is not threading.main_thread() or jax.process_count() > 1:
        yield request
        return

    def note(number: int, frame: FrameType | None) -> None:
        del frame
        request.signal = number
        signal.signal(number, previous[signal.Signals(number)])

    previous = {number: signal.signal(number, note) for number in SIGNALS}
    try:
        yield request
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)

"""Wall-clock time of a run: steps, waiting for input, compilation."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import jax


class Clock:
    """Measures the steps of this process, without compilation, and the time of the whole run.

    Args:
      seconds: time of the run before this process, from its checkpoint.
    """

    def __init__(self, seconds: float = 0.0):
        self.compile_seconds = 0.0
        self._run_seconds, self._step_seconds, self._wait_seconds = seconds, 0.0, 0.0
        self._num_images = 0
        self._started: float | None = None

    @property
    def seconds(self) -> float:
        """Time of the run so far, without the compilation of this process."""
        return self._run_seconds + self._running()

    @property
    def images_per_second(self) -> float:
        """Throughput of the steps."""
        return self._num_images / max(self._step_seconds + self._running(), 1e-9)

    def start(self) -> None:
        """Starts measuring steps."""
        self._started = time.perf_counter()

    def pause(self) -> None:
        """Stops measuring steps; the results of the last one must have been computed."""
        spent = self._running()
        self._started = None
        self._step_seconds += spent
        self._run_seconds += spent

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Measures the wait for one batch."""
        started = time.perf_counter()
        yield
        self._wait_seconds += time.perf_counter() - started

    @contextmanager
    def evaluating(self) -> Iterator[None]:
        """Adds the time of an evaluation to that of the run."""
        started = time.perf_counter()
        yield
        self._run_seconds += time.perf_counter() - started

    def stepped(self, results: Any, num_images: int) -> None:
        """Counts the images of a step. The first step of the process is its compilation, and is not counted."""
        if self.compile_seconds:
            self._num_images += num_images
            return
        jax.block_until_ready(results)
        self.compile_seconds, self._wait_seconds = self._running(), 0.0
        self.start()

    def statistics(self) -> dict[str, float]:
        """Throughput, the share of time waiting for input, and seconds."""
        return {
            "images_per_second": round(self.images_per_second, 1),
            "waiting_for_input": round(self._wait_seconds / max(self._step_seconds, 1e-9), 4),
            "compile_seconds": round(self.compile_seconds, 2),
            "seconds": round(self.seconds + self.compile_seconds, 2),
        }

    def _running(self) -> float:
        return 0.0 if self._started is None else time.perf_counter() - self._started

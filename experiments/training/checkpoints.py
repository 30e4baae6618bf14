"""Checkpoints with orbax: model, optimiser, step, random keys and input position; the last two and the best one.

A state is stored as a flat dictionary from path to array, and the paths, shapes and dtypes once more as JSON, so that a
checkpoint of another network is recognised before anything is read into this one. A checkpoint that cannot be read is
set aside, never deleted, and the one before it takes its place.
"""

import pathlib
from contextlib import nullcontext, suppress
from typing import Any

import jax
import jax.numpy as jnp
import orbax.checkpoint as ocp
from jax.experimental import multihost_utils
from orbax.checkpoint.checkpoint_managers import AnyPreservationPolicy, BestN, LatestN

from experiments.errors import UserError
from experiments.training.parallel import Layout
from experiments.training.state_arrays import check_structure, flatten, structure, unflatten

FOLDER = "checkpoints"
ASIDE = "damaged_checkpoints"
METRIC = "validation_accuracy"


class DamagedError(Exception):
    """A checkpoint that is cut short: its message says what is wrong with it."""


class Checkpoints:
    """The checkpoints of one work directory.

    Args:
      workdir: of the run.
      layout: devices that restored arrays are put on, whatever devices they were saved from.
    """

    def __init__(self, workdir: pathlib.Path, layout: Layout):
        self.layout = layout
        self.folder = workdir.resolve() / FOLDER
        self.aside = workdir.resolve() / ASIDE
        self._manager: ocp.CheckpointManager | None = None

    @property
    def manager(self) -> ocp.CheckpointManager:
        """Orbax's manager of the folder, opened at first use."""
        if self._manager is None:
            self._manager = _open(self.folder)
        return self._manager

    @property
    def last(self) -> int | None:
        """Step of the last checkpoint, or None."""
        return self.manager.latest_step()

    @property
    def best(self) -> int | None:
        """Step with the best validation accuracy (the later of equals), or None before the first validation."""
        return self.manager.best_step()

    def resume(self, like: Any) -> tuple[tuple[Any, dict[str, Any]] | None, list[str]]:
        """Restores the last checkpoint that can be read, and sets aside those that cannot.

        Args:
          like: a state of the same structure.

        Returns:
          The state on this run's devices with its position, or None where there is no checkpoint; and what to tell.

        Raises:
          UserError: the last checkpoint is of another network or optimiser, or none can be read; nothing was changed.
        """
        steps = self._on_disk()
        if not steps:
            return None, []
        restored, damaged = None, {}
        reader = _open(self.folder, read_only=True)
        try:
            for step in reversed(steps):
                try:
                    position = self._read_position(reader, step)
                    if restored is None:
                        restored = self._read(reader, step, position, like)
                except DamagedError as error:
                    damaged[step] = str(error)
        finally:
            reader.close()
        if restored is None:
            faults = "; ".join(f"{step}: {fault}" for step, fault in damaged.items())
            raise UserError(
                f"no checkpoint in {self.folder} can be read ({faults}); nothing was changed; "
                "bring them back from a copy, or choose another --workdir to begin again"
            )
        self._set_aside(list(damaged))
        return restored, [self._tell(step, fault) for step, fault in damaged.items()]

    def restore(self, step: int, like: Any) -> tuple[Any, dict[str, Any]]:
        """Reads one checkpoint.

        Args:
          step: which one.
          like: a state of the same structure.

        Returns:
          The state on this run's devices, and the position.

        Raises:
          UserError: the checkpoint is of another network or optimiser, or damaged.
        """
        try:
            return self._read(self.manager, step, self._read_position(self.manager, step), like)
        except DamagedError as error:
            raise UserError(f"checkpoint {self.folder / str(step)} cannot be read: {error}") from error

    def restore_best(self, state: Any) -> tuple[int, Any, list[str]]:
        """Restores the checkpoint with the best validation accuracy of all that can be read.

        Args:
          state: of the last checkpoint, which is returned where that is the best.

        Returns:
          The step, the state, and what to tell.

        Raises:
          UserError: there is none with a validation accuracy.
        """
        told: list[str] = []
        while (step := self.best) is not None:
            if step == self.last:
                return step, state, told
            try:
                position = self._read_position(self.manager, step)
                return step, self._read(self.manager, step, position, state)[0], told
            except DamagedError as error:
                self.wait()
                self._set_aside([step])
                self.manager.reload()
                told.append(f"{self._tell(step, str(error))}; the best of the others takes its place")
        raise UserError(f"no checkpoint in {self.folder} has a validation accuracy; choose another --workdir")

    def save(self, step: int, state: Any, position: dict[str, Any], *, accuracy: float | None = None) -> None:
        """Starts writing a checkpoint; the run goes on meanwhile.

        Args:
          step: its name; a step that exists already is left alone.
          state: a pytree of arrays.
          position: plain data: where the input is, and what else the loop must remember.
          accuracy: on the validation split, where the epoch has just ended.

        Raises:
          UserError: this checkpoint, or the one before it, cannot be written.
        """
        if step in self.manager.all_steps():
            return
        # The next step is given this state's buffers, and writing takes longer than that: store a copy.
        arrays = {path: jnp.copy(array) for path, array in flatten(state).items()}
        try:
            self.manager.save(
                step,
                args=ocp.args.Composite(
                    state=ocp.args.StandardSave(arrays),
                    position=ocp.args.JsonSave({"structure": structure(arrays), "accuracy": accuracy, **position}),
                ),
                metrics={METRIC: accuracy} if accuracy is not None else None,
            )
        except Exception as error:
            raise self._not_written(error) from error

    def wait(self) -> None:
        """Waits for what is being written.

        Raises:
          UserError: it could not be written.
        """
        try:
            self.manager.wait_until_finished()
        except Exception as error:
            raise self._not_written(error) from error

    def close(self) -> None:
        """Waits for what is being written.

        Raises:
          UserError: it could not be written.
        """
        if self._manager is None:
            return
        try:
            self._manager.close()
        except Exception as error:
            # What failed to be written has been told to this thread now, and does not hold up closing again.
            with suppress(Exception):
                self._manager.close()
            raise self._not_written(error) from error

    def __enter__(self) -> "Checkpoints":
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        # An error that is under way already is the one to be told.
        with suppress(UserError) if error else nullcontext():
            self.close()

    def _on_disk(self) -> list[int]:
        try:
            return sorted(int(path.name) for path in self.folder.iterdir() if path.name.isdecimal() and path.is_dir())
        except FileNotFoundError:
            return []

    def _read_position(self, manager: ocp.CheckpointManager, step: int) -> dict[str, Any]:
        """The parts in JSON, which are quickly read."""
        try:
            restored = manager.restore(step, args=ocp.args.Composite(position=ocp.args.JsonRestore()))
            position = restored["position"]
            position["structure"], position["input"]
            metrics = manager.metrics(step)
        except PermissionError:
            raise
        except Exception as error:
            raise DamagedError(_reason(error)) from error
        if position.get("accuracy") is not None and not metrics:
            raise DamagedError("its validation accuracy is missing")
        return position

    def _read(
        self, manager: ocp.CheckpointManager, step: int, position: dict[str, Any], like: Any
    ) -> tuple[Any, dict[str, Any]]:
        expected = flatten(like)
        check_structure(structure(expected), position["structure"], self.folder / str(step))
        abstract = {
            path: jax.ShapeDtypeStruct(array.shape, array.dtype, sharding=self.layout.replicated)
            for path, array in expected.items()
        }
        try:
            arrays = manager.restore(step, args=ocp.args.Composite(state=ocp.args.StandardRestore(abstract)))["state"]
        except PermissionError:
            raise
        except Exception as error:
            raise DamagedError(_reason(error)) from error
        return unflatten(like, arrays), position

    def _set_aside(self, steps: list[int]) -> None:
        # Renamed, which a full disk allows, once all processes have read what they wanted to.
        _meet("checkpoints read")
        if jax.process_index() == 0:
            for step in steps:
                self.aside.mkdir(exist_ok=True)
                names = (f"{step}{suffix}" for suffix in ["", *(f"_{number}" for number in range(2, 1000))])
                (self.folder / str(step)).rename(
                    next(self.aside / name for name in names if not (self.aside / name).exists())
                )
        _meet("damaged checkpoints set aside")

    def _tell(self, step: int, fault: str) -> str:
        return f"the checkpoint of step {step} cannot be read ({fault}) and is now in {self.aside}"

    def _not_written(self, error: Exception) -> UserError:
        steps = self._on_disk()
        kept = (
            f"that of step {steps[-1]} is intact, and the same command goes on from it"
            if steps
            else "there is none yet"
        )
        return UserError(f"a checkpoint in {self.folder} cannot be written ({_reason(error)}); {kept}")


def _open(folder: pathlib.Path, *, read_only: bool = False) -> ocp.CheckpointManager:
    if read_only:
        # Without a look at the metrics, which may be what is damaged.
        return ocp.CheckpointManager(
            folder, options=ocp.CheckpointManagerOptions(read_only=True, lightweight_initialize=True)
        )

    def accuracy(metrics: dict[str, float]) -> float:
        return metrics[METRIC]

    # Two, so that there is one to go back to; one that is being written replaces none before it is complete.
    best = BestN(n=1, get_metric_fn=accuracy, keep_checkpoints_without_metrics=False)
    options = ocp.CheckpointManagerOptions(
        best_fn=accuracy,
        preservation_policy=AnyPreservationPolicy([LatestN(n=2), best]),
        cleanup_tmp_directories=True,
    )
    return ocp.CheckpointManager(folder, options=options)


def _meet(name: str) -> None:
    if jax.process_count() > 1:
        multihost_utils.sync_global_devices(name)


def _reason(error: BaseException) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 160 else f"{text[:160]}..."

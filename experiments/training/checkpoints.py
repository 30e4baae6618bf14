"""Checkpoints by orbax: network, optimiser, step, random keys and input position. The last two and the best are kept.

A state is stored as a flat dictionary from path to array. The paths, shapes and dtypes are also stored as JSON, so that a
checkpoint of another network is recognized before its arrays are read. A checkpoint that cannot be read is moved aside,
never deleted, and the previous one is used.
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
    """A checkpoint is damaged. The message says how."""


class Checkpoints:
    """The checkpoints of one work directory.

    Args:
      workdir: the directory of the run.
      layout: the devices of restored arrays, which may differ from those that saved them.
    """

    def __init__(self, workdir: pathlib.Path, layout: Layout):
        self.layout = layout
        self.folder = workdir.resolve() / FOLDER
        self.aside = workdir.resolve() / ASIDE
        self._manager: ocp.CheckpointManager | None = None

    @property
    def manager(self) -> ocp.CheckpointManager:
        """The manager of the folder by orbax, opened on first use."""
        if self._manager is None:
            self._manager = _open(self.folder)
        return self._manager

    @property
    def last(self) -> int | None:
        """The step of the last checkpoint, or None."""
        return self.manager.latest_step()

    @property
    def best(self) -> int | None:
        """The step with the best validation accuracy (the last of equals), or None before the first validation."""
        return self.manager.best_step()

    def resume(self, like: Any) -> tuple[tuple[Any, dict[str, Any]] | None, list[str]]:
        """Restores the last checkpoint that can be read, and moves damaged ones aside.

        Args:
          like: a state of the same structure.

        Returns:
          The state on the devices of this run with its position, or None if there is no checkpoint; and messages.

        Raises:
          UserError: the last checkpoint is of another network or optimiser, or none can be read. Nothing is changed.
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
                "restore them from a backup, or choose another --workdir to start again"
            )
        self._set_aside(list(damaged))
        return restored, [self._moved(step, fault) for step, fault in damaged.items()]

    def restore(self, step: int, like: Any) -> tuple[Any, dict[str, Any]]:
        """Reads one checkpoint.

        Args:
          step: the step of the checkpoint.
          like: a state of the same structure.

        Returns:
          The state on the devices of this run, and the position.

        Raises:
          UserError: the checkpoint is of another network or optimiser, or damaged.
        """
        try:
            return self._read(self.manager, step, self._read_position(self.manager, step), like)
        except DamagedError as error:
            raise UserError(f"checkpoint {self.folder / str(step)} cannot be read: {error}") from error

    def restore_best(self, state: Any) -> tuple[int, Any, list[str]]:
        """Restores the checkpoint with the best validation accuracy among those that can be read.

        Args:
          state: the last state, which is returned if it is the best.

        Returns:
          The step, the state, and messages.

        Raises:
          UserError: no checkpoint has a validation accuracy.
        """
        messages: list[str] = []
        while (step := self.best) is not None:
            if step == self.last:
                return step, state, messages
            try:
                position = self._read_position(self.manager, step)
                return step, self._read(self.manager, step, position, state)[0], messages
            except DamagedError as error:
                self.wait()
                self._set_aside([step])
                self.manager.reload()
                messages.append(f"{self._moved(step, str(error))}; the best of the others is used")
        raise UserError(f"no checkpoint in {self.folder} has a validation accuracy; choose another --workdir")

    def save(self, step: int, state: Any, position: dict[str, Any], *, accuracy: float | None = None) -> None:
        """Starts writing a checkpoint, in the background.

        Args:
          step: its name; an existing checkpoint is not replaced.
          state: a pytree of arrays.
          position: plain data: the input position and what else the loop needs to resume.
          accuracy: validation accuracy, at the end of an epoch.

        Raises:
          UserError: this checkpoint or the previous one cannot be written.
        """
        if step in self.manager.all_steps():
            return
        # The next step reuses the buffers of this state before writing ends: store a copy.
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
        """Waits until all checkpoints are written.

        Raises:
          UserError: one could not be written.
        """
        try:
            self.manager.wait_until_finished()
        except Exception as error:
            raise self._not_written(error) from error

    def close(self) -> None:
        """Waits until all checkpoints are written.

        Raises:
          UserError: one could not be written.
        """
        if self._manager is None:
            return
        try:
            self._manager.close()
        except Exception as error:
            # The failure has been reported to this thread; closing again succeeds.
            with suppress(Exception):
                self._manager.close()
            raise self._not_written(error) from error

    def __enter__(self) -> "Checkpoints":
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        # If an error is being raised already, it is the one to report.
        with suppress(UserError) if error else nullcontext():
            self.close()

    def _on_disk(self) -> list[int]:
        try:
            return sorted(int(path.name) for path in self.folder.iterdir() if path.name.isdecimal() and path.is_dir())
        except FileNotFoundError:
            return []

    def _read_position(self, manager: ocp.CheckpointManager, step: int) -> dict[str, Any]:
        """Reads the parts in JSON, which are small."""
        try:
            restored = manager.restore(step, args=ocp.args.Composite(position=ocp.args.JsonRestore()))
            position = restored["position"]
            _ = position["structure"], position["input"]
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
        # Renaming works with a full disk. All processes must have read before.
        _synchronize("checkpoints read")
        if jax.process_index() == 0:
            for step in steps:
                self.aside.mkdir(exist_ok=True)
                names = (f"{step}{suffix}" for suffix in ["", *(f"_{number}" for number in range(2, 1000))])
                (self.folder / str(step)).rename(
                    next(self.aside / name for name in names if not (self.aside / name).exists())
                )
        _synchronize("damaged checkpoints set aside")

    def _moved(self, step: int, fault: str) -> str:
        return f"the checkpoint of step {step} cannot be read ({fault}) and was moved to {self.aside}"

    def _not_written(self, error: Exception) -> UserError:
        steps = self._on_disk()
        kept = (
            f"the checkpoint of step {steps[-1]} is intact: run the same command to resume from it"
            if steps
            else "no checkpoint was written before"
        )
        return UserError(f"a checkpoint in {self.folder} cannot be written ({_reason(error)}); {kept}")


def _open(folder: pathlib.Path, *, read_only: bool = False) -> ocp.CheckpointManager:
    if read_only:
        # Without reading the metrics, which may be damaged.
        return ocp.CheckpointManager(
            folder, options=ocp.CheckpointManagerOptions(read_only=True, lightweight_initialize=True)
        )

    def accuracy(metrics: dict[str, float]) -> float:
        return metrics[METRIC]

    # Two, so that a damaged one has a predecessor. A new one replaces an old one only once it is complete.
    best = BestN(n=1, get_metric_fn=accuracy, keep_checkpoints_without_metrics=False)
    options = ocp.CheckpointManagerOptions(
        best_fn=accuracy,
        preservation_policy=AnyPreservationPolicy([LatestN(n=2), best]),
        cleanup_tmp_directories=True,
    )
    return ocp.CheckpointManager(folder, options=options)


def _synchronize(name: str) -> None:
    if jax.process_count() > 1:
        multihost_utils.sync_global_devices(name)


def _reason(error: BaseException) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 160 else f"{text[:160]}..."

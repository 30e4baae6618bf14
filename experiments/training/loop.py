"""The training loop: epochs of steps, a validation after each, checkpoints."""

import dataclasses
from collections.abc import Callable
from typing import Any

import grain
import jax
import numpy as np
from flax import nnx

from experiments.errors import UserError
from experiments.results import audits
from experiments.results.logs import MetricsLog, Terminal
from experiments.trained.weights import put_weights
from experiments.training import divergence
from experiments.training.checkpoints import Checkpoints
from experiments.training.clock import Clock
from experiments.training.evaluation import Predictor, Validation
from experiments.training.interruption import StopRequest
from experiments.training.parallel import Layout
from experiments.training.plan import Plan
from experiments.training.program import Program
from experiments.training.state import TrainState, inference_params
from experiments.training.tasks import Task
from gequi_jax import groups


@dataclasses.dataclass(frozen=True)
class Outputs:
    """Where a run writes."""

    checkpoints: Checkpoints
    log: MetricsLog
    terminal: Terminal


@dataclasses.dataclass(frozen=True)
class Auditor:
    """Audits the network of a state.

    Attributes:
      outline: builds a network without computing its weights.
      group: the group of the network.
      image_shape: rows, columns, channels.
      seeded: whether states have an axis of seeds.
      outputs: where the audit is written.
    """

    outline: Callable[[], nnx.Module]
    group: groups.FiniteGroup
    image_shape: tuple[int, ...]
    seeded: bool
    outputs: Outputs

    def audit(self, state: TrainState, step: int, when: str, *, table: bool, final: bool = False) -> None:
        """Measures the equivariance error of every layer; prints and records it. Only the first process does."""
        if jax.process_index() > 0:
            return
        model = put_weights(self.outline(), inference_params(state), state.other, seeded=self.seeded)
        report = audits.audit(model, group=self.group, image_shape=self.image_shape)
        audits.say(report, when, self.outputs.terminal, table=table)
        self.outputs.log.write(audits.record(report, step=step, final=final))


@dataclasses.dataclass(frozen=True)
class Loop:
    """The training loop of one run."""

    plan: Plan
    task: Task
    program: Program
    layout: Layout
    validation: Any
    outputs: Outputs
    auditor: Auditor
    stop: StopRequest
    clock: Clock

    def train(self, state: TrainState, batches: grain.DatasetIterator) -> TrainState:
        """Trains to the last step, or to the first signal, and saves the state."""
        step = num_updates(state)
        while step < self.plan.num_steps:
            epoch = step // self.plan.steps_per_epoch + 1
            end = epoch * self.plan.steps_per_epoch
            state, step = self._train_until(end, state, step, batches)
            if step < end:
                self.outputs.checkpoints.save(step, state, self._position(batches))
                break
            state = self._end_epoch(state, step, epoch, batches)
        return state

    def _train_until(
        self, end: int, state: TrainState, step: int, batches: grain.DatasetIterator
    ) -> tuple[TrainState, int]:
        self.clock.start()
        while step < end and not self.stop.reached(step):
            with self.clock.waiting():
                batch = next(batches)
            state, results = self.program.train_step(state, self.layout.place(batch))
            step += 1
            self.clock.stepped(results, self.plan.batch_size * len(self.plan.seeds))
            epoch = (step - 1) // self.plan.steps_per_epoch + 1
            self.outputs.terminal.step(step, epoch=epoch, num_epochs=self.plan.num_epochs)
            if _is_due(step, self.plan.log_every_steps):
                self._check_finite(state)
                self._log_step(step, epoch, results)
            if _is_due(step, self.plan.checkpoint_every_steps) and step < end:
                self._check_finite(state)
                self.outputs.checkpoints.save(step, state, self._position(batches))
        jax.block_until_ready(state.step)
        self.clock.pause()
        self._check_finite(state)
        return state, step

    def _end_epoch(self, state: TrainState, step: int, epoch: int, batches: grain.DatasetIterator) -> TrainState:
        with self.clock.evaluating():
            predictor = Predictor(self.program, state, self.layout, self.plan.eval_batch_size)
            validation = self.task.validate(predictor, self.validation)
        record = self._epoch_record(state, validation) | {"kind": "epoch", "step": step, "epoch": epoch}
        if self.plan.best_metric not in ("accuracy", "loss"):
            record |= _by_seed(f"validation_{self.plan.best_metric}", validation.selecting)
        self.outputs.log.write(record)
        if _is_due(epoch, self.plan.audit_every_epochs):
            self.auditor.audit(state, step, f"after epoch {epoch}", table=False)
        state = self.program.end_epoch(state, self.layout.replicate(np.asarray(validation.loss, np.float32)))
        self.outputs.checkpoints.save(
            step, state, self._position(batches), accuracy=float(np.mean(validation.selecting))
        )
        self.outputs.terminal.say(
            f"epoch {epoch:3d}/{self.plan.num_epochs}  train loss {record['train_loss']:.4f} accuracy "
            f"{record['train_accuracy']:.3f}  validation loss {record['validation_loss']:.4f} accuracy "
            f"{record['validation_accuracy']:.3f}{self._selecting(record)}  {record['images_per_second']:,.0f} images/s"
        )
        return state

    def _epoch_record(self, state: TrainState, validation: Validation) -> dict[str, Any]:
        train = {name: np.asarray(total) / self.plan.steps_per_epoch for name, total in state.totals.items()}
        return {
            **_by_seed("train_loss", train["loss"]),
            **_by_seed("train_accuracy", train["correct"]),
            **_by_seed("validation_loss", validation.loss),
            **_by_seed("validation_accuracy", validation.accuracy),
            "learning_rate": float(np.mean(np.asarray(self.program.learning_rate(state)))),
            **self.clock.statistics(),
        }

    def _selecting(self, record: dict[str, Any]) -> str:
        name = self.plan.best_metric
        return "" if name in ("accuracy", "loss") else f" {name} {record[f'validation_{name}']:.3f}"

    def _log_step(self, step: int, epoch: int, results: dict[str, jax.Array]) -> None:
        loss, accuracy = np.asarray(results["loss"]), np.asarray(results["accuracy"])
        rate = self.clock.images_per_second
        status = f"loss {loss.mean():.4f}  accuracy {accuracy.mean():.3f}  {rate:,.0f} images/s"
        self.outputs.terminal.step(step, epoch=epoch, num_epochs=self.plan.num_epochs, status=status)
        values = _by_seed("loss", loss) | _by_seed("accuracy", accuracy)
        self.outputs.log.write({"kind": "step", "step": step, "epoch": epoch, **values})

    def _check_finite(self, state: TrainState) -> None:
        cause = divergence.explain(
            state.divergence, self.program.groups, seeds=self.plan.seeds, steps_per_epoch=self.plan.steps_per_epoch
        )
        if cause is None:
            return
        last = self.outputs.checkpoints.last
        kept = "no checkpoint was saved" if last is None else f"the checkpoint of step {last}, before it, is kept"
        raise UserError(f"{cause}; {kept}")

    def _position(self, batches: grain.DatasetIterator) -> dict[str, Any]:
        return {"input": batches.get_state(), "seconds": self.clock.seconds}


def num_updates(state: TrainState) -> int:
    """The number of updates made, which is the same for all seeds."""
    return int(np.asarray(state.step).reshape(-1)[0])


def _is_due(count: int, every: int) -> bool:
    return every > 0 and count % every == 0


def _by_seed(name: str, values: np.ndarray) -> dict[str, Any]:
    if np.ndim(values) == 0:
        return {name: float(values)}
    return {name: float(np.mean(values)), f"{name}_by_seed": [float(value) for value in values]}

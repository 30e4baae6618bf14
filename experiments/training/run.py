"""One run from its configuration to its summary: data, model, optimiser, restore, loop, evaluate, save."""

import pathlib
import time
from contextlib import ExitStack, nullcontext
from typing import Any

import jax
import numpy as np
from flax import nnx

from experiments import data
from experiments.config import Config
from experiments.config import validation as settings
from experiments.errors import UserError
from experiments.results import audits, metrics, summary
from experiments.results.logs import MetricsLog, Terminal
from experiments.trained.build import build_model, restored_model
from experiments.training import divergence, locking
from experiments.training.checkpoints import Checkpoints
from experiments.training.evaluation import predict
from experiments.training.interruption import StopRequest, stop_on_signals
from experiments.training.parallel import create_layout
from experiments.training.step import Program, TrainState, create_program
from gequi_jax import models


def run(config: Config, workdir: pathlib.Path) -> dict[str, Any] | None:
    """Trains, evaluates and summarises; resumes what is in the work directory.

    Args:
      config: as `experiments.config.rows.default` describes it.
      workdir: made where it is missing.

    Returns:
      The summary, or None where a signal stopped the run before its end.

    Raises:
      UserError: a configuration, data or a work directory that cannot be used, or a run that has diverged.
    """
    settings.validate(config)
    try:
        return _run(config, workdir)
    except OSError as error:
        # A full disk, a directory that is gone: whatever was being written has a name of its own until it is complete.
        raise UserError(
            f"{error.filename or workdir}: {error.strerror or error}; what was saved before is intact, "
            "and the same command goes on from it"
        ) from error


def _run(config: Config, workdir: pathlib.Path) -> dict[str, Any] | None:
    first = jax.process_index() == 0
    with locking.locked(workdir) if first else nullcontext():
        if first:
            settings.check_continues(config, workdir)
        finished = summary.load(workdir)
        if finished and finished["epochs"] == config.num_epochs:
            result: dict[str, Any] | None = finished
            if first:
                print(f"{workdir} holds this run, finished; its summary again. A new run needs another --workdir.")
        else:
            with stop_on_signals() as stop:
                result = _train(config, workdir, stop)
        if result is None:
            return None
        result["z2"] = _compare(config, workdir)
        if first:
            summary.save(result, workdir)
            summary.show(result, workdir)
        return result


def _train(config: Config, workdir: pathlib.Path, stop: StopRequest) -> dict[str, Any] | None:
    info = models.model_info(config.model)
    dataset = data.load_dataset(
        config,
        image_shape=tuple(config.model_overrides.get("input_shape", info.input_shape)),
        num_classes=config.model_overrides.get("num_classes", info.num_classes),
    )
    layout = create_layout(config.num_devices, batch_size=config.batch_size, seeded=config.num_seeds > 1)
    steps_per_epoch = len(dataset.train) // config.batch_size
    if steps_per_epoch == 0:
        raise UserError(f"batch_size={config.batch_size}, but there are only {len(dataset.train)} training images")
    num_steps = steps_per_epoch * config.num_epochs
    if num_steps >= 2**31:
        raise UserError(f"num_epochs={config.num_epochs} of {steps_per_epoch} steps: a run has fewer than 2**31 steps")

    program, state = create_program(
        config, lambda rngs: build_model(config, rngs), steps_per_epoch=steps_per_epoch, layout=layout
    )
    batches = data.training_batches(
        dataset.train,
        batch_size=config.batch_size,
        num_steps=num_steps,
        seeds=range(config.seed, config.seed + config.num_seeds),
        process_index=jax.process_index(),
        process_count=jax.process_count(),
    )
    # Only now: a run that could not even start leaves nothing behind that would refuse the next one.
    if jax.process_index() == 0:
        settings.remember(config, workdir)
    with ExitStack() as stack:
        checkpoints = stack.enter_context(Checkpoints(workdir, layout))
        seconds = 0.0
        restored, told = checkpoints.resume(state)
        if restored is not None:
            state, position = restored
            seconds = position["seconds"]
            batches.set_state(position["input"])
        log = stack.enter_context(MetricsLog(workdir, step=int(_first(state.step)), quiet=jax.process_index() > 0))
        terminal = stack.enter_context(Terminal(num_steps, quiet=jax.process_index() > 0))
        for line in told:
            terminal.say(line)
        loop = Loop(config, program, layout, dataset, checkpoints, log, terminal, stop, seconds)
        loop.announce(workdir, int(_first(state.step)))
        if config.audit and int(_first(state.step)) == 0:
            loop.audit(state, 0, "before training", table=True)
        state = loop.train(state, batches)
        if stop:
            checkpoints.wait()
            terminal.say(f"stopped by signal {stop.signal}, everything is saved; the same command goes on from here")
            return None

        best, state, told = checkpoints.restore_best(state)
        for line in told:
            terminal.say(line)
        if config.audit:
            loop.audit(state, num_steps, f"after training, of epoch {best // steps_per_epoch}", table=True, final=True)
        terminal.say(f"testing the weights of epoch {best // steps_per_epoch}, the best on the validation split")
        return summary.evaluate_run(
            config,
            program,
            state,
            dataset,
            layout=layout,
            workdir=workdir,
            model=lambda: restored_model(build_model(config, nnx.Rngs(config.seed)), state, config),
            statistics={**loop.statistics(), "best_epoch": best // steps_per_epoch},
        )


class Loop:
    """Epochs of steps, a validation after each, checkpoints."""

    def __init__(
        self,
        config: Config,
        program: Program,
        layout: Any,
        dataset: data.Dataset,
        checkpoints: Checkpoints,
        log: MetricsLog,
        terminal: Terminal,
        stop: StopRequest,
        seconds: float,
    ):
        self.config, self.program, self.layout, self.dataset = config, program, layout, dataset
        self.checkpoints, self.log, self.terminal, self.stop = checkpoints, log, terminal, stop
        self.steps_per_epoch = len(dataset.train) // config.batch_size
        self.seconds, self.compile_seconds = seconds, 0.0
        self.stepping_seconds, self.waiting_seconds, self.num_images = 0.0, 0.0, 0

    def announce(self, workdir: pathlib.Path, step: int) -> None:
        """Says what is about to be trained."""
        config, dataset = self.config, self.dataset
        self.terminal.say(
            f"{config.model}: {self.program.num_parameters:,} parameters; {dataset.name}: {len(dataset.train):,} training "
            f"and {len(dataset.validation):,} validation images; {self.layout.mesh.size} "
            f"{jax.devices()[0].platform} device(s); in {workdir}"
        )
        if step:
            self.terminal.say(f"resuming at step {step}, epoch {step // self.steps_per_epoch + 1}")

    def train(self, state: TrainState, batches: Any) -> TrainState:
        """Runs to the end, or to the first signal."""
        config = self.config
        step = int(_first(state.step))
        while step < self.steps_per_epoch * config.num_epochs:
            epoch = step // self.steps_per_epoch + 1
            end = epoch * self.steps_per_epoch
            started, compiling = time.perf_counter(), self.num_images == 0
            while step < end and not self.stop.reached(step):
                waited = time.perf_counter()
                batch = next(batches)
                self.waiting_seconds += time.perf_counter() - waited
                state, metrics = self.program.train_step(state, self.layout.place(batch))
                step += 1
                if compiling:
                    jax.block_until_ready(metrics)
                    self.compile_seconds = time.perf_counter() - started
                    started, compiling = time.perf_counter(), False
                    self.waiting_seconds = 0.0
                else:
                    self.num_images += config.batch_size * config.num_seeds
                self.terminal.step(step, epoch=epoch, num_epochs=config.num_epochs)
                if config.log_every_steps and step % config.log_every_steps == 0:
                    self._check_finite(state)
                    self._log_step(step, epoch, metrics, started)
                if config.checkpoint_every_steps and step % config.checkpoint_every_steps == 0 and step < end:
                    self._check_finite(state)
                    self.checkpoints.save(step, state, self._position(batches, started))
            jax.block_until_ready(state.step)
            spent = time.perf_counter() - started
            self.stepping_seconds += spent
            self.seconds += spent
            self._check_finite(state)
            if step < end:
                self.checkpoints.save(step, state, self._position(batches))
                break
            state = self._end_epoch(state, step, epoch, batches)
        return state

    def audit(self, state: TrainState, step: int, when: str, *, table: bool, final: bool = False) -> None:
        """The error of every layer, said and recorded by the first process."""
        if jax.process_index() > 0:
            return
        outline = nnx.eval_shape(lambda: build_model(self.config, nnx.Rngs(self.config.seed)))
        model = restored_model(outline, state, self.config)
        audits.show(
            self.config,
            model,
            step=step,
            when=when,
            image_shape=self.dataset.image_shape,
            terminal=self.terminal,
            log=self.log,
            table=table,
            final=final,
        )

    def _check_finite(self, state: TrainState) -> None:
        config = self.config
        fault = divergence.explain(
            state.divergence,
            self.program.groups,
            seeds=range(config.seed, config.seed + config.num_seeds),
            steps_per_epoch=self.steps_per_epoch,
        )
        if fault is None:
            return
        last = self.checkpoints.last
        kept = "nothing was saved yet" if last is None else f"the checkpoint of step {last}, before it, is kept"
        raise UserError(f"{fault}; {kept}")

    def _log_step(self, step: int, epoch: int, metrics: dict[str, jax.Array], started: float) -> None:
        loss, accuracy = np.asarray(metrics["loss"]), np.asarray(metrics["accuracy"])
        elapsed = self.stepping_seconds + time.perf_counter() - started
        rate = self.num_images / max(elapsed, 1e-9)
        status = f"loss {loss.mean():.4f}  accuracy {accuracy.mean():.3f}  {rate:,.0f} images/s"
        self.terminal.step(step, epoch=epoch, num_epochs=self.config.num_epochs, status=status)
        self.log.write(
            {"kind": "step", "step": step, "epoch": epoch, **_by_seed("loss", loss), **_by_seed("accuracy", accuracy)}
        )

    def _end_epoch(self, state: TrainState, step: int, epoch: int, batches: Any) -> TrainState:
        config = self.config
        train = {name: np.asarray(total) / self.steps_per_epoch for name, total in state.totals.items()}
        started = time.perf_counter()
        logits, labels = predict(
            self.program, state, self.dataset.validation, batch_size=config.eval_batch_size, layout=self.layout
        )
        validation = metrics.summarize(logits, labels)
        self.seconds += time.perf_counter() - started
        rate = self.program.learning_rate(state)
        record = {
            "kind": "epoch",
            "step": step,
            "epoch": epoch,
            **_by_seed("train_loss", train["loss"]),
            **_by_seed("train_accuracy", train["correct"]),
            **_by_seed("validation_loss", validation["loss"]),
            **_by_seed("validation_accuracy", validation["accuracy"]),
            "learning_rate": float(np.mean(np.asarray(rate))),
            **self.statistics(),
        }
        self.log.write(record)
        if config.audit_every_epochs and epoch % config.audit_every_epochs == 0:
            self.audit(state, step, f"after epoch {epoch}", table=False)
        state = self.program.end_epoch(state, self.layout.replicate(np.asarray(validation["loss"], np.float32)))
        self.checkpoints.save(step, state, self._position(batches), accuracy=record["validation_accuracy"])
        self.terminal.say(
            f"epoch {epoch:3d}/{config.num_epochs}  train loss {record['train_loss']:.4f} accuracy "
            f"{record['train_accuracy']:.3f}  validation loss {record['validation_loss']:.4f} accuracy "
            f"{record['validation_accuracy']:.3f}  {record['images_per_second']:,.0f} images/s"
        )
        return state

    def _position(self, batches: Any, started: float | None = None) -> dict[str, Any]:
        running = 0.0 if started is None else time.perf_counter() - started
        return {"input": batches.get_state(), "seconds": self.seconds + running}

    def statistics(self) -> dict[str, float]:
        """Speed since the start of this process, without compilation, and seconds of the whole run."""
        return {
            "images_per_second": round(self.num_images / max(self.stepping_seconds, 1e-9), 1),
            "waiting_for_input": round(self.waiting_seconds / max(self.stepping_seconds, 1e-9), 4),
            "compile_seconds": round(self.compile_seconds, 2),
            "seconds": round(self.seconds + self.compile_seconds, 2),
        }


def _compare(config: Config, workdir: pathlib.Path) -> dict[str, Any] | None:
    """What the network without the group reaches: trained here where that is asked for, or as recorded."""
    if config.z2_model == config.model:
        return None
    if not config.compare_z2:
        return summary.recorded(config)
    other = config.copy_and_resolve_references()
    other.model, other.compare_z2 = config.z2_model, False
    result = run(other, workdir / "z2")
    return summary.comparison(result) if result else None


def _first(array: jax.Array) -> np.ndarray:
    return np.asarray(array).reshape(-1)[0]


def _by_seed(name: str, values: np.ndarray) -> dict[str, Any]:
    if np.ndim(values) == 0:
        return {name: float(values)}
    return {name: float(np.mean(values)), f"{name}_by_seed": [float(value) for value in values]}

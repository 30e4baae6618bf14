"""One run from its configuration to its summary: data, network, restore, loop, evaluate, save."""

import dataclasses
import functools
import pathlib
from collections.abc import Iterator
from contextlib import ExitStack, nullcontext
from typing import Any

import grain
import jax
from flax import nnx

from experiments import data
from experiments.config import Config, saved, task
from experiments.config.validation import validate
from experiments.errors import UserError
from experiments.results import inputs, printing, records, summary
from experiments.results.logs import MetricsLog, Terminal
from experiments.trained.build import (
    build_model,
    compute_dtype,
    has_masks,
    load_data,
    model_group,
    with_data_shapes,
)
from experiments.trained.weights import put_weights
from experiments.training import finish, locking
from experiments.training.checkpoints import Checkpoints
from experiments.training.clock import Clock
from experiments.training.evaluation import Predictor
from experiments.training.interruption import StopRequest, stop_on_signals
from experiments.training.loop import Auditor, Loop, Outputs, num_updates
from experiments.training.parallel import Layout, create_layout
from experiments.training.plan import Plan, create_plan
from experiments.training.program import Program, create_program
from experiments.training.state import TrainState, inference_params
from experiments.training.tasks import Task, create_task


def run(config: Config, workdir: pathlib.Path) -> dict[str, Any] | None:
    """Trains, evaluates and writes the summary; resumes the run in the work directory if there is one.

    Args:
      config: the configuration, see `experiments.config.schema`.
      workdir: the directory of the run, created if it does not exist.

    Returns:
      The summary, or None if a signal stopped the run.

    Raises:
      UserError: a configuration, data or a work directory that cannot be used, or a run that has diverged.
    """
    validate(config)
    try:
        return _run(task.for_data(config, masks=has_masks(config)), workdir)
    except OSError as error:
        # A full disk, or a directory that was removed. Files are written under another name until they are complete.
        raise UserError(
            f"{error.filename or workdir}: {error.strerror or error}; earlier checkpoints are intact: run the same command "
            "to resume from it"
        ) from error


def _run(config: Config, workdir: pathlib.Path) -> dict[str, Any] | None:
    is_first = jax.process_index() == 0
    with locking.locked(workdir) if is_first else nullcontext():
        if is_first:
            saved.check_continues(config, workdir)
        result = summary.load(workdir)
        if result is None or result["epochs"] != config.num_epochs:
            with stop_on_signals() as stop:
                result = _train(config, workdir, stop)
        elif is_first:
            print(f"{workdir} holds this run, finished; its summary again. For a new run choose another --workdir.")
        if result is None:
            return None
        result["z2"] = _baseline(config, workdir)
        if is_first:
            summary.save(result, workdir)
            printing.show(result, workdir)
        return result


@dataclasses.dataclass(frozen=True)
class Job:
    """The parts of a run that are fixed before its first step."""

    config: Config
    workdir: pathlib.Path
    task: Task
    layout: Layout
    plan: Plan
    program: Program

    @property
    def dataset(self) -> data.Dataset:
        """The data set."""
        return self.task.dataset

    def build(self) -> nnx.Module:
        """The network of the first seed, untrained."""
        return build_model(self.config, nnx.Rngs(self.config.seed))

    def trained(self, state: TrainState) -> nnx.Module:
        """The network of the first seed with the weights of a state, in evaluation mode."""
        return put_weights(self.build(), inference_params(state), state.other, seeded=len(self.plan.seeds) > 1)


def _train(config: Config, workdir: pathlib.Path, stop: StopRequest) -> dict[str, Any] | None:
    job, state = _prepare(config, workdir)
    batches = data.training_batches(
        job.dataset.train,
        batch_size=job.plan.batch_size,
        num_steps=job.plan.num_steps,
        seeds=job.plan.seeds,
        process_index=jax.process_index(),
        process_count=jax.process_count(),
        balanced=config.sampling == data.BALANCED,
    )
    # Only now: a run that cannot start leaves no config.json, which would refuse the next one.
    if jax.process_index() == 0:
        saved.save(job.config, workdir)
        inputs.remember(job.dataset, workdir)
    with ExitStack() as stack:
        checkpoints = stack.enter_context(Checkpoints(workdir, job.layout))
        restored, messages = checkpoints.resume(state)
        clock = Clock()
        if restored is not None:
            state, position = restored
            clock = Clock(position["seconds"])
            batches.set_state(position["input"])
        log = stack.enter_context(MetricsLog(workdir, step=num_updates(state), quiet=jax.process_index() > 0))
        terminal = stack.enter_context(Terminal(job.plan.num_steps, quiet=jax.process_index() > 0))
        for message in [*messages, *_announcement(job, num_updates(state))]:
            terminal.say(message)
        return _train_and_evaluate(job, state, batches, Outputs(checkpoints, log, terminal), stop, clock)


def _prepare(config: Config, workdir: pathlib.Path) -> tuple[Job, TrainState]:
    dataset = load_data(config)
    masks = dataset.label_names.task == data.SEGMENTATION
    data.check_augmentation(config.augmentation, len(dataset.image_shape) - 1, masks=masks)
    config = with_data_shapes(config, dataset.image_shape, dataset.num_classes)
    layout = create_layout(config.num_devices, batch_size=config.batch_size, seeded=config.num_seeds > 1)
    plan = create_plan(config, len(dataset.train))
    learned = create_task(config, dataset)
    program, state = create_program(
        config,
        functools.partial(build_model, config, dtype=compute_dtype(config)),
        normalize=data.normalization(config.normalization, dataset.preprocessing),
        steps_per_epoch=plan.steps_per_epoch,
        layout=layout,
        objective=learned.objective(),
    )
    return Job(config, workdir, learned, layout, plan, program), state


def _announcement(job: Job, step: int) -> Iterator[str]:
    yield (
        f"{job.config.model}: {job.program.num_parameters:,} parameters; {job.dataset.name}: {job.dataset.num_train:,} "
        f"training and {len(job.dataset.validation):,} validation images; {job.layout.mesh.size} "
        f"{jax.devices()[0].platform} device(s); in {job.workdir}"
    )
    for note in (*job.dataset.notes, *job.task.notes()):
        yield f"{job.dataset.name}: {note}"
    if step:
        yield f"resuming at step {step}, epoch {step // job.plan.steps_per_epoch + 1}"


def _train_and_evaluate(
    job: Job, state: TrainState, batches: grain.DatasetIterator, outputs: Outputs, stop: StopRequest, clock: Clock
) -> dict[str, Any] | None:
    outline = functools.partial(nnx.eval_shape, job.build)
    auditor = Auditor(outline, model_group(job.config), job.dataset.image_shape, len(job.plan.seeds) > 1, outputs)
    if job.config.audit and num_updates(state) == 0:
        auditor.audit(state, 0, "before training", table=True)
    loop = Loop(job.plan, job.task, job.program, job.layout, job.dataset.validation, outputs, auditor, stop, clock)
    state = loop.train(state, batches)
    if stop:
        outputs.checkpoints.wait()
        outputs.terminal.say(f"stopped by signal {stop.signal}; the state is saved: run the same command to resume")
        return None
    best_step, state, messages = outputs.checkpoints.restore_best(state)
    epoch = best_step // job.plan.steps_per_epoch
    for message in [*messages, f"testing the weights of epoch {epoch}, the best on the validation split"]:
        outputs.terminal.say(message)
    if job.config.audit:
        auditor.audit(state, job.plan.num_steps, f"after training, of epoch {epoch}", table=True, final=True)
    return finish.evaluate_run(
        job.task,
        Predictor(job.program, state, job.layout, job.plan.eval_batch_size),
        workdir=job.workdir,
        build_trained=lambda: job.trained(state),
        statistics=clock.statistics() | {"best_epoch": epoch},
    )


def _baseline(config: Config, workdir: pathlib.Path) -> dict[str, Any] | None:
    """The result of the network without the group: trained here if the configuration asks for it, or as recorded."""
    if config.z2_model == config.model:
        return None
    if not config.compare_z2:
        return records.baseline(config)
    other = config.copy_and_resolve_references()
    other.model, other.compare_z2 = config.z2_model, False
    result = run(other, workdir / "z2")
    return summary.comparison(result) if result else None

"""Optimisers and learning-rate schedules by name, from optax.

Weight decay means two things, and each optimiser here says which. "adam" and "sgd" add weight_decay * parameter to the
gradient before anything else, the L2 penalty of PyTorch, which the papers use; "adamw" decouples it. Both apply to all
parameters. Decay and clipping are given as they are, so a schedule changes neither.
"""

from collections.abc import Callable, Mapping

import optax

from experiments.config import Config
from experiments.errors import UserError


def _constant(config: Config, steps_per_epoch: int, warmup_steps: int) -> optax.Schedule:
    del steps_per_epoch, warmup_steps
    return optax.constant_schedule(config.learning_rate)


def _multi_step(config: Config, steps_per_epoch: int, warmup_steps: int) -> optax.Schedule:
    # Schedules joined after a warm-up count their steps from its end; the boundaries are epochs of the run.
    last = 2**31 - 1  # of a step counter
    boundaries = {
        min(int(epoch * steps_per_epoch) - warmup_steps, last): config.decay_factor for epoch in config.decay_epochs
    }
    return optax.piecewise_constant_schedule(config.learning_rate, boundaries)


def _cosine(config: Config, steps_per_epoch: int, warmup_steps: int) -> optax.Schedule:
    return optax.cosine_decay_schedule(config.learning_rate, max(1, config.num_epochs * steps_per_epoch - warmup_steps))


# "plateau" is constant here: the loop scales it by `plateau`, from the validation loss of each epoch.
SCHEDULES: Mapping[str, Callable[[Config, int, int], optax.Schedule]] = {
    "constant": _constant,
    "multi_step": _multi_step,
    "cosine": _cosine,
    "plateau": _constant,
}


def _adam(config: Config, schedule: optax.Schedule) -> optax.GradientTransformation:
    return optax.chain(optax.add_decayed_weights(config.weight_decay), optax.adam(schedule))


def _adamw(config: Config, schedule: optax.Schedule) -> optax.GradientTransformation:
    return optax.adamw(schedule, weight_decay=config.weight_decay)


def _sgd(config: Config, schedule: optax.Schedule) -> optax.GradientTransformation:
    return optax.chain(
        optax.add_decayed_weights(config.weight_decay), optax.sgd(schedule, momentum=config.momentum or None)
    )


OPTIMIZERS: Mapping[str, Callable[[Config, optax.Schedule], optax.GradientTransformation]] = {
    "adam": _adam,
    "adamw": _adamw,
    "sgd": _sgd,
}


def create_schedule(config: Config, steps_per_epoch: int) -> optax.Schedule:
    """Learning rate as a function of the step.

    Args:
      config: its fields schedule, learning_rate, warmup_epochs, num_epochs, decay_epochs and decay_factor.
      steps_per_epoch: updates in one epoch.

    Raises:
      UserError: an unknown name.
    """
    if config.schedule not in SCHEDULES:
        raise UserError(f"no schedule {config.schedule!r}; expected one of {', '.join(SCHEDULES)}")
    warmup_steps = min(int(config.warmup_epochs * steps_per_epoch), 2**31 - 1)
    schedule = SCHEDULES[config.schedule](config, steps_per_epoch, warmup_steps)
    if warmup_steps == 0:
        return schedule
    warmup = optax.linear_schedule(config.learning_rate / warmup_steps, config.learning_rate, warmup_steps)
    return optax.join_schedules([warmup, schedule], [warmup_steps])


def create_optimizer(config: Config, steps_per_epoch: int) -> optax.GradientTransformation:
    """The optimiser of a configuration, clipping first.

    Raises:
      UserError: an unknown name.
    """
    if config.optimizer not in OPTIMIZERS:
        raise UserError(f"no optimizer {config.optimizer!r}; expected one of {', '.join(OPTIMIZERS)}")
    optimizer = OPTIMIZERS[config.optimizer](config, create_schedule(config, steps_per_epoch))
    if config.gradient_clip > 0:
        return optax.chain(optax.clip_by_global_norm(config.gradient_clip), optimizer)
    return optimizer


def plateau(config: Config) -> optax.GradientTransformationExtraArgs:
    """Scale of the learning rate, updated with the validation loss once an epoch; 1 unless the schedule is "plateau"."""
    on = config.schedule == "plateau"
    return optax.contrib.reduce_on_plateau(
        factor=config.decay_factor if on else 0.5,
        patience=config.plateau_patience if on else 2**30,
        rtol=1e-4,
        accumulation_size=1,
    )

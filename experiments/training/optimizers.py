"""Optimisers and learning-rate schedules by name, from optax.

"adam" and "sgd" add weight_decay * parameter to the gradient first, the L2 penalty of PyTorch, which the papers use; "adamw"
decouples the decay. Both decay all parameters. A schedule changes neither the decay of "adam" and "sgd" nor the clipping.
"""

from collections.abc import Callable, Mapping

import optax
import optax.contrib

from experiments.config import Config
from experiments.errors import check_choice


def _constant(config: Config, steps_per_epoch: int, warmup_steps: int) -> optax.Schedule:
    del steps_per_epoch, warmup_steps
    return optax.constant_schedule(config.learning_rate)


def _multi_step(config: Config, steps_per_epoch: int, warmup_steps: int) -> optax.Schedule:
    # After a warm-up the schedule counts its steps from the end of the warm-up; the boundaries are epochs of the run.
    last = 2**31 - 1  # the largest step
    boundaries = {
        min(int(epoch * steps_per_epoch) - warmup_steps, last): config.decay_factor for epoch in config.decay_epochs
    }
    return optax.piecewise_constant_schedule(config.learning_rate, boundaries)


def _cosine(config: Config, steps_per_epoch: int, warmup_steps: int) -> optax.Schedule:
    return optax.cosine_decay_schedule(config.learning_rate, max(1, config.num_epochs * steps_per_epoch - warmup_steps))


# "plateau" is constant here; `create_plateau` scales it by the validation loss of each epoch.
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
    """The learning rate as a function of the step.

    Args:
      config: fields schedule, learning_rate, warmup_epochs, num_epochs, decay_epochs and decay_factor are read.
      steps_per_epoch: number of updates in one epoch.

    Raises:
      UserError: an unknown name.
    """
    check_choice("schedule", config.schedule, SCHEDULES)
    warmup_steps = min(int(config.warmup_epochs * steps_per_epoch), 2**31 - 1)
    schedule = SCHEDULES[config.schedule](config, steps_per_epoch, warmup_steps)
    if warmup_steps == 0:
        return schedule
    warmup = optax.linear_schedule(config.learning_rate / warmup_steps, config.learning_rate, warmup_steps)
    return optax.join_schedules([warmup, schedule], [warmup_steps])


def create_optimizer(config: Config, steps_per_epoch: int) -> optax.GradientTransformation:
    """The optimiser of a configuration. Gradients are clipped first.

    Raises:
      UserError: an unknown name.
    """
    check_choice("optimizer", config.optimizer, OPTIMIZERS)
    optimizer = OPTIMIZERS[config.optimizer](config, create_schedule(config, steps_per_epoch))
    if config.gradient_clip > 0:
        return optax.chain(optax.clip_by_global_norm(config.gradient_clip), optimizer)
    return optimizer


def create_plateau(config: Config) -> optax.GradientTransformationExtraArgs | None:
    """The scale of the learning rate, updated with each validation loss; None for every schedule but "plateau"."""
    if config.schedule != "plateau":
        return None
    return optax.contrib.reduce_on_plateau(
        factor=config.decay_factor, patience=config.plateau_patience, rtol=1e-4, accumulation_size=1
    )

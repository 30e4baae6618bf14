"""How a network is trained, as one value that no step changes."""

import dataclasses
from collections.abc import Callable

import optax
from jaxtyping import Array

from experiments.config import Config
from experiments.trained.build import augmentation_group
from experiments.training import optimizers
from experiments.training.objective import Objective
from experiments.training.pixel_objective import PixelObjective
from gequi_jax import groups


@dataclasses.dataclass(frozen=True)
class Recipe:
    """How a network is trained.

    Attributes:
      optimizer: from gradients to updates.
      schedule: learning rate as a function of the step.
      plateau: scale of the learning rate, from the validation loss of each epoch; None if the schedule has none.
      normalize: from images in [0, 1] to the input of the network.
      augmentation: names of the augmentations.
      group: that random_symmetry draws from.
      objective: loss of the task.
      ema_decay: decay of the moving average of the weights (0: off).
    """

    optimizer: optax.GradientTransformation
    schedule: optax.Schedule
    plateau: optax.GradientTransformationExtraArgs | None
    normalize: Callable[[Array], Array]
    augmentation: tuple[str, ...]
    group: groups.FiniteGroup
    objective: Objective | PixelObjective
    ema_decay: float


def create_recipe(
    config: Config,
    steps_per_epoch: int,
    *,
    normalize: Callable[[Array], Array],
    objective: Objective | PixelObjective | None = None,
) -> Recipe:
    """The recipe of a configuration.

    Args:
      config: the configuration of the run.
      steps_per_epoch: number of updates in one epoch.
      normalize: from images in [0, 1] to the input of the network.
      objective: loss of the task; by default that of one class for each image.

    Raises:
      UserError: an unknown name.
    """
    return Recipe(
        optimizer=optimizers.create_optimizer(config, steps_per_epoch),
        schedule=optimizers.create_schedule(config, steps_per_epoch),
        plateau=optimizers.create_plateau(config),
        normalize=normalize,
        augmentation=tuple(config.augmentation),
        group=augmentation_group(config),
        objective=objective or Objective(label_smoothing=config.label_smoothing),
        ema_decay=config.ema_decay,
    )

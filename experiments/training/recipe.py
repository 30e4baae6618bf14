"""How a network is trained, as one value that no step changes."""

import dataclasses
from collections.abc import Callable

import optax
from jaxtyping import Array

from experiments import data
from experiments.config import Config
from experiments.training import optimizers


@dataclasses.dataclass(frozen=True)
class Recipe:
    """How a network is trained.

    Attributes:
      optimizer: from gradients to updates.
      schedule: learning rate as a function of the step.
      plateau: scale of the learning rate, from the validation loss of each epoch; None if the schedule has none.
      normalize: from images in [0, 1] to the input of the network.
      augmentation: names of the augmentations.
      label_smoothing: share of the target distribution that is uniform.
      ema_decay: decay of the moving average of the weights (0: off).
    """

    optimizer: optax.GradientTransformation
    schedule: optax.Schedule
    plateau: optax.GradientTransformationExtraArgs | None
    normalize: Callable[[Array], Array]
    augmentation: tuple[str, ...]
    label_smoothing: float
    ema_decay: float


def create_recipe(config: Config, steps_per_epoch: int) -> Recipe:
    """The recipe of a configuration.

    Raises:
      UserError: an unknown name.
    """
    return Recipe(
        optimizer=optimizers.create_optimizer(config, steps_per_epoch),
        schedule=optimizers.create_schedule(config, steps_per_epoch),
        plateau=optimizers.create_plateau(config),
        normalize=data.NORMALIZATIONS[config.normalization],
        augmentation=tuple(config.augmentation),
        label_smoothing=config.label_smoothing,
        ema_decay=config.ema_decay,
    )

"""The numbers that the training loop follows."""

import dataclasses

from experiments.config import Config
from experiments.errors import UserError


@dataclasses.dataclass(frozen=True)
class Plan:
    """The numbers that the training loop follows.

    Attributes:
      seeds: the seeds trained together.
      batch_size: images of a step, for each seed.
      eval_batch_size: images of a batch during evaluation.
      steps_per_epoch: number of updates in one epoch; the incomplete batch is dropped.
      num_epochs: number of epochs.
      best_metric: metric of the validation split that selects the best epoch.
      log_every_steps, checkpoint_every_steps, audit_every_epochs: 0 for never.
    """

    seeds: range
    batch_size: int
    eval_batch_size: int
    steps_per_epoch: int
    num_epochs: int
    best_metric: str
    log_every_steps: int
    checkpoint_every_steps: int
    audit_every_epochs: int

    @property
    def num_steps(self) -> int:
        """Number of updates in the whole run."""
        return self.steps_per_epoch * self.num_epochs


def create_plan(config: Config, num_train: int) -> Plan:
    """The plan of a configuration for a number of training images.

    Raises:
      UserError: fewer images than one batch, or too many steps.
    """
    steps_per_epoch = num_train // config.batch_size
    if steps_per_epoch == 0:
        raise UserError(
            f"batch_size: expected at most {num_train}, the number of training images; got {config.batch_size}"
        )
    if steps_per_epoch * config.num_epochs >= 2**31:
        raise UserError(
            f"num_epochs: expected fewer than 2**31 steps in a run; got {config.num_epochs} epochs of {steps_per_epoch} steps"
        )
    return Plan(
        seeds=range(config.seed, config.seed + config.num_seeds),
        batch_size=config.batch_size,
        eval_batch_size=config.eval_batch_size,
        steps_per_epoch=steps_per_epoch,
        num_epochs=config.num_epochs,
        best_metric=config.best_metric,
        log_every_steps=config.log_every_steps,
        checkpoint_every_steps=config.checkpoint_every_steps,
        audit_every_epochs=config.audit_every_epochs,
    )

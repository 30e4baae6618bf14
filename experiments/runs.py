"""Trained networks of finished runs, for use in Python: `load_run(workdir).model(images)`."""

import pathlib

import ml_collections
from absl import logging
from flax import nnx

from experiments.config import default_config
from experiments.config import validation as settings
from experiments.errors import UserError
from experiments.results import summary
from experiments.trained.build import build_model, model_group, restored_model
from experiments.trained.run import Run as Run
from experiments.trained.run import with_downsampling as with_downsampling


def load_run(workdir: str | pathlib.Path) -> Run:
    """Restores the network of a finished run.

    Args:
      workdir: the work directory that `python -m experiments.main` has left.

    Returns:
      The network, with the weights of its best epoch, and what is needed to use it.

    Raises:
      UserError: no finished run there, or none that can be restored; the message says what to do.

    Example (after `python -m experiments.main`):

        run = load_run("runs/default")
        logits = run.model(run.normalize(images))  # images [n, *run.image_shape], in [0, 1]
    """
    # Imported late: a program that draws a layer without a run needs no optimiser.
    from experiments.training import checkpoints, parallel, step

    workdir = pathlib.Path(workdir)
    finished = summary.load(workdir)
    if finished is None:
        raise UserError(
            f"--workdir {workdir}: no finished run there (no {summary.FILE}); "
            f"python -m experiments.main --workdir {workdir} makes one"
        )
    if not (workdir / checkpoints.FOLDER).is_dir():
        raise UserError(f"--workdir {workdir}: its {checkpoints.FOLDER} are missing; choose another run")
    # orbax reports every file that it reads.
    logging.set_verbosity(logging.ERROR)
    # A run of an earlier version may lack fields; their defaults are what it did.
    config = ml_collections.ConfigDict(settings.as_plain(default_config()) | finished["config"])
    layout = parallel.create_layout(1, batch_size=config.batch_size, seeded=config.num_seeds > 1)
    built = []

    def build(rngs: nnx.Rngs) -> nnx.Module:
        built.append(build_model(config, rngs))
        return built[-1]

    # The number of steps enters the learning rate, not what is stored.
    _, state = step.create_program(config, build, steps_per_epoch=1, layout=layout)
    kept = checkpoints.Checkpoints(workdir, layout)
    try:
        if kept.best is None:
            raise UserError(f"--workdir {workdir}: no checkpoint in {kept.folder}; choose another run")
        state, _ = kept.restore(kept.best, state)
    finally:
        kept.close()
    model = restored_model(built[0], state, config)
    return Run(workdir, config, model_group(config), model, finished["test_accuracy"])

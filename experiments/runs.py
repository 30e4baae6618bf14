"""Trained networks of finished runs in Python: `load_run(workdir).model(images)`."""

import pathlib

from absl import logging
from flax import nnx

from experiments.config import saved
from experiments.errors import UserError
from experiments.results import summary
from experiments.trained.build import build_model, model_group
from experiments.trained.run import Run as Run
from experiments.trained.run import with_downsampling as with_downsampling
from experiments.trained.weights import put_weights


def load_run(workdir: str | pathlib.Path) -> Run:
    """Restores the network of a finished run.

    Args:
      workdir: the work directory of `python -m experiments.main`.

    Returns:
      The network with the weights of its best epoch, and what is needed to use it.

    Raises:
      UserError: no finished run, or one that cannot be restored; the message says what to do.

    Example (after `python -m experiments.main`):

        run = load_run("runs/default")
        logits = run.model(run.normalize(images))  # images [n, *run.image_shape], in [0, 1]
    """
    # Imported late: programs that draw a layer without a run import this module, and need no optimiser.
    from experiments.training import checkpoints, parallel
    from experiments.training.program import create_program
    from experiments.training.state import inference_params

    workdir = pathlib.Path(workdir)
    finished = _finished(workdir, checkpoints.FOLDER)
    # orbax logs every file that it reads.
    logging.set_verbosity(logging.ERROR)
    config = saved.from_plain(finished["config"])
    seeded = config.num_seeds > 1
    layout = parallel.create_layout(1, batch_size=config.batch_size, seeded=seeded)
    # The number of steps only determines the learning rate, which is not stored.
    _, state = create_program(config, lambda rngs: build_model(config, rngs), steps_per_epoch=1, layout=layout)
    with checkpoints.Checkpoints(workdir, layout) as kept:
        if kept.best is None:
            raise UserError(
                f"--workdir {workdir}: expected a checkpoint in {kept.folder}; got none; choose another run"
            )
        state, _ = kept.restore(kept.best, state)
    outline = nnx.eval_shape(lambda: build_model(config, nnx.Rngs(config.seed)))
    model = put_weights(outline, inference_params(state), state.other, seeded=seeded)
    return Run(workdir, config, model_group(config), model, finished["test_accuracy"])


def _finished(workdir: pathlib.Path, checkpoints: str) -> dict:
    finished = summary.load(workdir)
    if finished is None:
        raise UserError(
            f"--workdir {workdir}: expected a finished run; got no {summary.FILE}; "
            f"run python -m experiments.main --workdir {workdir} first"
        )
    if not (workdir / checkpoints).is_dir():
        raise UserError(f"--workdir {workdir}: expected its {checkpoints}; got no such folder; choose another run")
    return finished

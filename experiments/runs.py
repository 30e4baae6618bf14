"""Trained networks of finished runs, for use in Python: `load_run(workdir).model(images)`."""

import dataclasses
import pathlib
from typing import Any

import jax
import ml_collections
from absl import logging
from flax import nnx

from experiments import checkpoints, data, parallel, settings, steps, summary, train
from experiments._typing import Config
from experiments.configs import default
from experiments.errors import UserError
from gequi_jax import groups, models


@dataclasses.dataclass(frozen=True)
class Run:
    """A finished run.

    Attributes:
      workdir: where it lies.
      config: its configuration.
      group: of its network.
      model: its network with the weights of its best epoch, those of the first seed, in evaluation mode.
      accuracy: on the test split.
    """

    workdir: pathlib.Path
    config: Config
    group: groups.FiniteGroup
    model: nnx.Module
    accuracy: float

    @property
    def image_shape(self) -> tuple[int, ...]:
        """Rows, columns and channels of the images that the network reads."""
        return tuple(self.config.model_overrides.get("input_shape", models.model_info(self.config.model).input_shape))

    def normalize(self, images: Any) -> Any:
        """Images in [0, 1] as the network reads them."""
        return data.NORMALIZATIONS[self.config.normalization](images)


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
    config = ml_collections.ConfigDict(settings.as_plain(default.get_config()) | finished["config"])
    layout = parallel.create_layout(1, batch_size=config.batch_size, seeded=config.num_seeds > 1)
    built = []

    def build(rngs: nnx.Rngs) -> nnx.Module:
        built.append(train.build_model(config, rngs))
        return built[-1]

    # The number of steps enters the learning rate, not what is stored.
    _, state = steps.create_program(config, build, steps_per_epoch=1, layout=layout)
    kept = checkpoints.Checkpoints(workdir, layout)
    try:
        if kept.best is None:
            raise UserError(f"--workdir {workdir}: no checkpoint in {kept.folder}; choose another run")
        state, _ = kept.restore(kept.best, state)
    finally:
        kept.close()
    model = summary.restored_model(built[0], state, config)
    return Run(workdir, config, summary.model_group(config), model, finished["test_accuracy"])


def with_downsampling(run: Run, downsampling: str) -> nnx.Module | None:
    """The network with its weights, but another way to halve its maps; None where it has no choice or other arrays."""
    config = run.config.copy_and_resolve_references()
    config.model_overrides.downsampling = downsampling
    try:
        other = nnx.eval_shape(lambda: train.build_model(config, nnx.Rngs(config.seed)))
    except UserError:
        return None
    trained = nnx.state(run.model)
    if _shapes(trained) != _shapes(nnx.state(other)):
        return None
    nnx.update(other, trained)
    other.eval()
    return other


def _shapes(state: Any) -> dict[str, tuple[int, ...]]:
    return {jax.tree_util.keystr(path): leaf.shape for path, leaf in jax.tree_util.tree_leaves_with_path(state)}

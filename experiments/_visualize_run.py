"""What pictures of a run need: its trained network, and images of its size."""

import dataclasses
import pathlib
from typing import Any

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
from absl import logging
from flax import nnx
from PIL import Image

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


def load_run(workdir: pathlib.Path) -> Run:
    """Restores the network of a finished run.

    Raises:
      UserError: no finished run there, or none that can be restored.
    """
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


def image_of_test_split(run: Run, index: int) -> tuple[np.ndarray, str]:
    """An image of the test split in [0, 1], and what it is.

    Raises:
      UserError: data that is not there, or no image of that index.
    """
    info = models.model_info(run.config.model)
    classes = run.config.model_overrides.get("num_classes", info.num_classes)
    dataset = data.load_dataset(run.config, image_shape=run.image_shape, num_classes=classes)
    test = dataset.test()
    if not 0 <= index < len(test):
        raise UserError(
            f"--index {index}: expected 0 to {len(test) - 1}, the {len(test)} test images of {dataset.name}"
        )
    batch = test.fetch(np.asarray([index]))
    image = np.asarray(data.as_unit_range(jnp.asarray(batch["image"])))[0]
    return image, f"test image {index} of {dataset.name}, class {batch['label'][0]}"


def file_image(run: Run, path: pathlib.Path) -> tuple[np.ndarray, str]:
    """The centred square of an image file in [0, 1], brought to the size of the network, and its name.

    Raises:
      UserError: a file that is no image, or a network that reads neither grey nor coloured images.
    """
    rows, columns, channels = run.image_shape
    if channels not in (1, 3):
        raise UserError(f"--image {path}: the network of {run.workdir} reads {channels} channels, an image has 1 or 3")
    try:
        with Image.open(path) as file:
            picture = file.convert("L" if channels == 1 else "RGB")
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        reason = getattr(error, "strerror", None) or "no image in a format that Pillow knows"
        raise UserError(f"--image {path}: cannot be read ({reason})") from error
    side = min(picture.size)
    left, top = (picture.width - side) // 2, (picture.height - side) // 2
    square = picture.crop((left, top, left + side, top + side)).resize((columns, rows), Image.Resampling.LANCZOS)
    image = np.asarray(square, np.float32).reshape(rows, columns, channels) / 255
    return image, path.name

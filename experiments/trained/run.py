"""A finished run in Python."""

import dataclasses
import pathlib
from typing import Any

import jax
from flax import nnx

from experiments import data
from experiments.config import Config
from experiments.errors import UserError
from experiments.trained import build
from gequi_jax import groups


@dataclasses.dataclass(frozen=True)
class Run:
    """A finished run.

    Attributes:
      workdir: its directory.
      config: its configuration.
      group: the group of its network.
      model: its network with the weights of the best epoch (of the first seed), in evaluation mode.
      accuracy: test accuracy.
    """

    workdir: pathlib.Path
    config: Config
    group: groups.FiniteGroup
    model: nnx.Module
    accuracy: float

    @property
    def image_shape(self) -> tuple[int, ...]:
        """Rows, columns and channels of the images that the network reads."""
        return build.image_shape(self.config)

    def normalize(self, images: Any) -> Any:
        """Converts images in [0, 1] to the input of the network."""
        return data.NORMALIZATIONS[self.config.normalization](images)

    def load_data(self) -> data.Dataset:
        """Loads the data set of the run.

        Raises:
          UserError: data that is missing or damaged.
        """
        return build.load_data(self.config)


def with_downsampling(run: Run, downsampling: str) -> nnx.Module | None:
    """The same weights in a network with another downsampling; None if it has no such option or other arrays."""
    config = run.config.copy_and_resolve_references()
    config.model_overrides.downsampling = downsampling
    try:
        other = nnx.eval_shape(lambda: build.build_model(config, nnx.Rngs(config.seed)))
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

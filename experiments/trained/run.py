"""A finished run in Python."""

import dataclasses
import pathlib
from typing import Any

import jax
from flax import nnx

from experiments import data
from experiments.config import Config
from experiments.errors import UserError
from experiments.trained.build import build_model
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


def with_downsampling(run: Run, downsampling: str) -> nnx.Module | None:
    """The network with its weights, but another way to halve its maps; None where it has no choice or other arrays."""
    config = run.config.copy_and_resolve_references()
    config.model_overrides.downsampling = downsampling
    try:
        other = nnx.eval_shape(lambda: build_model(config, nnx.Rngs(config.seed)))
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

"""The network of a configuration, its group, its sizes, and its data."""

import jax
import jax.numpy as jnp
from flax import nnx

from experiments import data
from experiments.config import Config
from experiments.errors import UserError
from gequi_jax import groups, models


def build_model(config: Config, rngs: nnx.Rngs, *, dtype: jax.typing.DTypeLike | None = None) -> nnx.Module:
    """Builds the network of a configuration.

    Args:
      config: the configuration.
      rngs: the random streams.
      dtype: type of the computation; float32 by default. Training uses `compute_dtype`.

    Raises:
      UserError: the network does not accept the arguments.
    """
    try:
        overrides = config.model_overrides.to_dict()
        if isinstance(overrides.get("group"), str):
            overrides["group"] = groups.group_by_name(overrides["group"])
        return models.create_model(config.model, rngs=rngs, dtype=dtype, **overrides)
    except Exception as error:
        if not config.model_overrides and not isinstance(error, ValueError | TypeError):
            raise
        raise UserError(f"{config.model} cannot be built: {error}") from error


def compute_dtype(config: Config) -> jax.typing.DTypeLike | None:
    """The type in which the network computes during training; parameters are float32 in any case."""
    return jnp.bfloat16 if config.precision == "bfloat16" else None


def model_group(config: Config) -> groups.FiniteGroup:
    """The group of the network of a configuration."""
    group = config.model_overrides.get("group", models.model_info(config.model).group)
    return groups.group_by_name(group) if isinstance(group, str) else group


def image_shape(config: Config) -> tuple[int, ...]:
    """Rows, columns and channels of the images that the network reads."""
    return tuple(config.model_overrides.get("input_shape", models.model_info(config.model).input_shape))


def load_data(config: Config) -> data.Dataset:
    """Loads the data set of a configuration, for its network.

    Raises:
      UserError: data that is missing or damaged, or that does not fit the network.
    """
    return data.load_dataset(
        config.dataset,
        config.data_dir,
        data.Split(config.num_validation, config.num_train, config.num_test, config.data_seed),
        image_shape=image_shape(config),
        num_classes=config.model_overrides.get("num_classes", models.model_info(config.model).num_classes),
        downscale=config.downscale,
    )

"""The network that a configuration names, and its trained arrays."""

from typing import Any

import jax
from flax import nnx

from experiments.config import Config
from experiments.errors import UserError
from gequi_jax import groups, models


def build_model(config: Config, rngs: nnx.Rngs) -> nnx.Module:
    """Builds the network that a configuration names.

    Raises:
      UserError: arguments that the network does not take.
    """
    try:
        overrides = config.model_overrides.to_dict()
        if isinstance(overrides.get("group"), str):
            overrides["group"] = groups.group_by_name(overrides["group"])
        return models.create_model(config.model, rngs=rngs, **overrides)
    except Exception as error:
        if not config.model_overrides and not isinstance(error, ValueError | TypeError):
            raise
        raise UserError(f"{config.model} cannot be built: {error}") from error


def model_group(config: Config) -> groups.FiniteGroup:
    """The group of the configured network."""
    group = config.model_overrides.get("group", models.model_info(config.model).group)
    return groups.group_by_name(group) if isinstance(group, str) else group


def restored_model(model: nnx.Module, state: Any, config: Config) -> nnx.Module:
    """Puts the trained arrays of the first seed into a network, in evaluation mode."""
    params = state.average if config.ema_decay else state.params

    def first(leaf: jax.Array) -> jax.Array:
        # Of this process alone: only one of them draws.
        leaf = leaf.addressable_data(0)
        return leaf[0] if config.num_seeds > 1 else leaf

    nnx.update(model, jax.tree.map(first, params), jax.tree.map(first, state.other))
    model.eval()
    return model

"""The network that a configuration names, and its trained arrays."""

from collections.abc import Callable
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


def network_fits(config: Config) -> Callable[[tuple[int, ...], int], str | None]:
    """Why the configured network cannot read images of a shape and tell so many classes apart; None where it can."""
    overrides, group = config.model_overrides.to_dict(), model_group(config)

    def refusal(image_shape: tuple[int, ...], num_classes: int) -> str | None:
        if len(image_shape) - 1 != group.dim:
            kinds = {1: "signals", 2: "images", 3: "volumes"}
            return (
                f"{config.model} reads {kinds[group.dim]}, of the {group.dim}-dimensional group {group.name}; the data "
                f"are {kinds[len(image_shape) - 1]} of {list(image_shape)}"
            )
        shape, classes = overrides.get("input_shape"), overrides.get("num_classes")
        if shape is not None and tuple(shape) != tuple(image_shape):
            return f"model_overrides.input_shape is {list(shape)}; leave it out, or set --config.image_size"
        if classes is not None and classes < num_classes:
            return f"{num_classes} classes, but model_overrides.num_classes={classes}; leave it out"
        completed = with_data_shapes(config, image_shape, num_classes)
        try:
            nnx.eval_shape(lambda: build_model(completed, nnx.Rngs(0)))
        except UserError as error:
            return str(error)
        return None

    return refusal


def with_data_shapes(config: Config, image_shape: tuple[int, ...], num_classes: int) -> Config:
    """The configuration with `input_shape` and `num_classes` of the network as the data have them, where they are not set."""
    info, completed = models.model_info(config.model), config.copy_and_resolve_references()
    for name, value in (("input_shape", tuple(image_shape)), ("num_classes", num_classes)):
        if name not in completed.model_overrides and getattr(info, name) != value:
            completed.model_overrides[name] = value
    return completed


def restored_model(model: nnx.Module, state: Any, config: Config, *, seed: int = 0) -> nnx.Module:
    """Puts the trained arrays of one seed into a network, in evaluation mode."""
    params = state.average if config.ema_decay else state.params

    def first(leaf: jax.Array) -> jax.Array:
        # Of this process alone: only one of them draws.
        leaf = leaf.addressable_data(0)
        return leaf[seed] if config.num_seeds > 1 else leaf

    nnx.update(model, jax.tree.map(first, params), jax.tree.map(first, state.other))
    model.eval()
    return model

"""The network of a configuration, its group, its sizes, and its data."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from experiments import data
from experiments.config import Config
from experiments.errors import UserError
from gequi_jax import groups, models

KINDS = {2: "images, such as digits_r4_sa", 3: "volumes, such as volume_octahedral_cnn or volume_p4m_cnn"}


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
        return models.create_model(config.model, rngs=rngs, dtype=dtype, **model_overrides(config))
    except UserError:
        raise
    except Exception as error:
        if not config.model_overrides and not isinstance(error, ValueError | TypeError):
            raise
        raise UserError(f"{config.model} cannot be built: {error}") from error


def model_overrides(config: Config) -> dict[str, Any]:
    """The arguments of the network that differ from the published ones, with groups in place of their names.

    Raises:
      UserError: an argument that should name a group does not.
    """
    return config.model_overrides.to_dict() | _groups(config)


def compute_dtype(config: Config) -> jax.typing.DTypeLike | None:
    """The type in which the network computes during training; parameters are float32 in any case."""
    return jnp.bfloat16 if config.precision == "bfloat16" else None


def model_group(config: Config) -> groups.FiniteGroup:
    """The group of the network of a configuration, that of its last stage where the symmetry shrinks with depth.

    Raises:
      UserError: an argument of the network that should name a group does not.
    """
    overridden = _groups(config)
    stages = overridden.get("group_by_stage")
    return stages[-1] if stages else overridden.get("group", models.model_info(config.model).group)


def _groups(config: Config) -> dict[str, Any]:
    """The groups among the arguments of the network, which a configuration holds by name."""
    dim = len(models.model_info(config.model).input_shape) - 1

    def named(argument: str, name: Any) -> groups.FiniteGroup:
        if not isinstance(name, str):
            raise UserError(f"model_overrides.{argument}: expected the name of a group, such as p4m; got {name!r}")
        try:
            return groups.group_by_name(name, dim=dim)
        except ValueError as error:
            raise UserError(f"model_overrides.{argument}: {error}") from error

    found: dict[str, Any] = {}
    if "group" in config.model_overrides:
        found["group"] = named("group", config.model_overrides.group)
    stages = config.model_overrides.get("group_by_stage")
    if stages is not None:
        names = stages.split(",") if isinstance(stages, str) else stages
        if not isinstance(names, list | tuple) or not names:
            raise UserError(f"model_overrides.group_by_stage: expected names of groups, such as p4m,p4; got {stages!r}")
        found["group_by_stage"] = tuple(named("group_by_stage", name) for name in names)
    return found


def augmentation_group(config: Config) -> groups.FiniteGroup:
    """The group that random_symmetry draws from: the configured one, or that of the network.

    Raises:
      UserError: no group of that name acts on the images of the network.
    """
    if not config.augmentation_group:
        return model_group(config)
    try:
        return groups.group_by_name(config.augmentation_group, dim=len(image_shape(config)) - 1)
    except ValueError as error:
        raise UserError(f"augmentation_group: {error}") from error


def image_shape(config: Config) -> tuple[int, ...]:
    """Spatial sizes and channels of the images that the network reads."""
    return tuple(config.model_overrides.get("input_shape", models.model_info(config.model).input_shape))


def num_classes(config: Config) -> int:
    """Number of classes of the network."""
    return config.model_overrides.get("num_classes", models.model_info(config.model).num_classes)


def load_data(config: Config) -> data.Dataset:
    """Loads the data set of a configuration, for its network.

    Raises:
      UserError: data that is missing or damaged, or that does not fit the network.
    """
    return data.load_dataset(
        config,
        network=network_fits(config),
        image_shape=image_shape(config),
        num_classes=num_classes(config),
        masks=has_masks(config),
    )


def has_masks(config: Config) -> bool:
    """Whether the images of a configuration have masks; generated ones have what the network learns."""
    if config.dataset == data.GENERATED:
        return models.model_info(config.model).output == "grid"
    return data.has_masks(config.dataset, config.data_dir)


def network_fits(config: Config) -> Callable[[tuple[int, ...], int], str | None]:
    """Why the network of a configuration cannot read images of a shape and tell so many classes apart, or None.

    `model_overrides` that are set stay; those that are not follow from the data, see `with_data_shapes`.
    """
    overrides, group = config.model_overrides, model_group(config)

    def refusal(shape: tuple[int, ...], num_classes: int) -> str | None:
        if len(shape) - 1 != group.dim:
            return (
                f"expected data of {group.dim} axes and channels for {config.model}, whose group {group.name} acts on "
                f"{group.dim} axes; got {len(shape) - 1} axes; choose a network for {KINDS[len(shape) - 1]}"
            )
        given = overrides.get("input_shape")
        if given is not None and tuple(given) != tuple(shape):
            return f"expected images of {list(given)}, model_overrides.input_shape; leave it out, or set image_size"
        if overrides.get("num_classes", num_classes) < num_classes:
            return f"expected at most {overrides.num_classes} classes, model_overrides.num_classes; got {num_classes}"
        completed = with_data_shapes(config, shape, num_classes)
        try:
            nnx.eval_shape(lambda: build_model(completed, nnx.Rngs(0)))
        except UserError as error:
            return str(error)
        return None

    return refusal


def with_data_shapes(config: Config, shape: tuple[int, ...], num_classes: int) -> Config:
    """The configuration with `input_shape` and `num_classes` of the network as the data have them, if they are not set."""
    info, completed = models.model_info(config.model), config.copy_and_resolve_references()
    for name, value in (("input_shape", tuple(shape)), ("num_classes", num_classes)):
        if name not in completed.model_overrides and getattr(info, name) != value:
            completed.model_overrides[name] = value
    return completed

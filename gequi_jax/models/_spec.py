"""What it takes to build a network again: the static part of every network that `create_model` makes."""

import dataclasses
import json
from collections.abc import Mapping
from typing import Any

from flax import nnx

from gequi_jax.groups import FiniteGroup
from gequi_jax.models._arguments import decoded_arguments, encoded


@dataclasses.dataclass(frozen=True)
class ModelSpec:
    """The name and the arguments of a network, as plain data that can be compared and hashed.

    Attributes:
      name: a name of the registry.
      arguments: the arguments of the constructor in JSON, without initialisers.
      unsaved: the arguments that have no plain form, such as functions of a user.
      restricted_to: the subgroups to which the network was restricted, in order.
    """

    name: str
    arguments: str
    unsaved: tuple[str, ...] = ()
    restricted_to: tuple[FiniteGroup, ...] = ()

    @classmethod
    def of(cls, name: str, arguments: Mapping[str, Any]) -> "ModelSpec":
        """The specification of a network built with these arguments."""
        plain, refused = encoded(arguments)
        return cls(name, json.dumps(plain, sort_keys=True), tuple(refused))

    def keyword_arguments(self) -> dict[str, Any]:
        """The arguments of the constructor."""
        return decoded_arguments(json.loads(self.arguments))


def spec_of(model: nnx.Module) -> ModelSpec:
    """The specification that a network carries.

    Raises:
      ValueError: if it was not made by `create_model`.
    """
    spec = getattr(model, "spec", None)
    if not isinstance(spec, ModelSpec):
        raise ValueError(
            f"model: expected a network from gequi_jax.models.create_model, which knows its name and arguments; got a "
            f"{type(model).__name__} without them; create it by its name, with overrides."
        )
    return spec

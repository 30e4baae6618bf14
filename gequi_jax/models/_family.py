"""One architecture of a paper with the groups it was published for: the row type of the registry."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from flax import nnx

from gequi_jax.groups import FiniteGroup


@dataclasses.dataclass(frozen=True)
class Family:
    """Networks that differ in their group alone.

    Attributes:
      template: the name, with `{group}` in place of the group.
      network: the constructor, called with `group=`, the arguments and `rngs=`.
      arguments: the published sizes, `input_shape` and `num_classes` among them.
      paper: where the architecture was published.
      table: the table there that has networks of this kind, or None.
      reported: for each group to be listed, the parameters and the test accuracy in percent that the paper prints, None
        where it prints none.
      features: from a group to the `features` of the network, where they differ between the groups of the table.
    """

    template: str
    network: Callable[..., nnx.Module]
    arguments: Mapping[str, Any]
    paper: str
    table: str | None
    reported: Mapping[str, tuple[int | None, float | None]]
    features: Callable[[FiniteGroup], Any] | None = None

    def arguments_for(self, group: FiniteGroup) -> dict[str, Any]:
        """The published arguments, with the features for this group."""
        features = {} if self.features is None else {"features": self.features(group)}
        return {**features, **self.arguments}

    @property
    def dim(self) -> int:
        """The number of spatial axes of the published input, for which names of groups are read."""
        return len(self.arguments["input_shape"]) - 1

    def names(self) -> list[str]:
        """The names of the networks to be listed."""
        return [self.template.format(group=group) for group in self.reported]

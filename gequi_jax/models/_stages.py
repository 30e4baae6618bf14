"""Networks whose symmetry shrinks with depth: the groups of their stages, and the layers between the stages."""

import itertools
from collections.abc import Callable, Sequence
from typing import Any

from flax import nnx

from gequi_jax._checks import check_group
from gequi_jax.groups import FiniteGroup, subgroup_elements
from gequi_jax.nn import RestrictPoses


def groups_of_stages(
    group_by_stage: Sequence[FiniteGroup] | None, *, group: FiniteGroup, num_stages: int
) -> tuple[FiniteGroup, ...]:
    """The group of every stage, each a subgroup of the one before.

    Args:
      group_by_stage: the groups, or None for the same group in every stage.
      group: the group of the network, that of the first stage.
      num_stages: the number of stages.

    Raises:
      ValueError: if there is not one group for each stage, the first is not `group`, or one is not a subgroup of the one
        before.
    """
    if group_by_stage is None:
        return (group,) * num_stages
    groups = tuple(group_by_stage)
    for entry in groups:
        check_group(entry)
    names = ", ".join(entry.name for entry in groups)
    if len(groups) != num_stages:
        raise ValueError(
            f"group_by_stage: expected {num_stages} groups, one for each stage; got {len(groups)} ({names}); repeat the "
            "group of a stage whose symmetry does not shrink."
        )
    if groups[0] != group:
        raise ValueError(
            f"group_by_stage: expected {group.name}, the group of the network, for the first stage; got {names}; give "
            f"group={groups[0].name} as well, or start with {group.name}."
        )
    for before, after in itertools.pairwise(groups):
        try:
            subgroup_elements(before, after)
        except ValueError as error:
            raise ValueError(
                f"group_by_stage: expected each group to be a subgroup of the one before; got {after.name} after "
                f"{before.name}; order the groups from the largest to the smallest, such as p4m, p4, z2."
            ) from error
    return groups


def behind_restriction(input_group: FiniteGroup, constructor: Callable[..., Any]) -> Callable[..., nnx.Module]:
    """The constructor of layers that read feature maps on a group H and are equivariant under a subgroup K.

    Where K is not H, the poses are restricted first, and the layer has |H| / |K| times as many input channels.

    Args:
      input_group: the group H.
      constructor: the constructor of a layer on K, called with `in_features, ..., group=`.
    """

    def construct(in_features: int, *args: Any, group: FiniteGroup, **options: Any) -> nnx.Module:
        layer = constructor(in_features * input_group.order // group.order, *args, group=group, **options)
        return (
            layer if group == input_group else nnx.Sequential(RestrictPoses(group=input_group, subgroup=group), layer)
        )

    return construct

"""The ways in which an array inside a network may transform, and the one that fits it best."""

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import jax

from gequi_jax.actions import act_on_feature_map, act_on_grid, act_on_poses
from gequi_jax.groups import FiniteGroup, subgroup_elements
from gequi_jax.testing._equivariance import relative_error
from gequi_jax.testing._layer_groups import contains
from gequi_jax.testing._spaces import ACTIONS


@dataclasses.dataclass(frozen=True)
class Interpretation:
    """One way for an array to transform.

    Attributes:
      fits: whether the shape of an array allows it.
      act: the action of an element on such an array.
    """

    fits: Callable[[tuple[int, ...], FiniteGroup], bool]
    act: Callable[[int, Any, FiniteGroup], Any]


def _act_on_feature_map(element: int, y: Any, group: FiniteGroup) -> Any:
    flat = y.reshape(*y.shape[: 2 + group.dim], -1)
    moved = act_on_feature_map(element, flat, group=group)
    return moved.reshape(*moved.shape[:-1], *y.shape[2 + group.dim :])


def _act_on_merged(element: int, y: Any, group: FiniteGroup) -> Any:
    moved = act_on_feature_map(element, y.reshape(*y.shape[:-1], group.order, -1), group=group)
    return moved.reshape(*moved.shape[:-2], -1)


def _act_on_grid(element: int, y: Any, group: FiniteGroup) -> Any:
    moved = act_on_grid(element, y.reshape(*y.shape[: 1 + group.dim], -1), group=group)
    return moved.reshape(*moved.shape[:-1], *y.shape[1 + group.dim :])


def _field(name: str, fits: Callable[[tuple[int, ...], FiniteGroup], bool]) -> Interpretation:
    return Interpretation(fits, lambda element, y, group: ACTIONS[name](element, y, group=group))


INTERPRETATIONS: Mapping[str, Interpretation] = {
    # [batch, *spatial, group, ...]
    "feature_map": Interpretation(
        lambda shape, group: len(shape) >= group.dim + 3 and shape[1 + group.dim] == group.order, _act_on_feature_map
    ),
    # [batch, *spatial, group * channels]
    "merged_feature_map": Interpretation(
        lambda shape, group: len(shape) == group.dim + 2 and shape[-1] % group.order == 0 and group.order > 1,
        _act_on_merged,
    ),
    # [batch, *spatial, ...]
    "grid": Interpretation(lambda shape, group: len(shape) >= group.dim + 2, _act_on_grid),
    # [batch, *spatial, ..., dim]
    "vectors": _field("vectors", lambda shape, group: len(shape) >= group.dim + 2 and shape[-1] == group.dim),
    # [batch, *spatial, ..., dim, dim]
    "tensors": _field("tensors", lambda shape, group: len(shape) >= group.dim + 3 and shape[-2:] == (group.dim,) * 2),
    # [batch, *spatial, channels]
    "pseudoscalars": _field("pseudoscalars", lambda shape, group: len(shape) == group.dim + 2),
    # [batch, *spatial]
    "class_map": _field("class_map", lambda shape, group: len(shape) == group.dim + 1),
    # [batch, group, ...]
    "poses": Interpretation(
        lambda shape, group: len(shape) >= 2 and shape[1] == group.order,
        lambda element, y, group: act_on_poses(element, y, group=group, axis=1),
    ),
    # [batch, tokens, group, ...], tokens without a position
    "tokens": Interpretation(
        lambda shape, group: len(shape) >= 3 and shape[2] == group.order,
        lambda element, y, group: act_on_poses(element, y, group=group, axis=2),
    ),
    "invariant": Interpretation(lambda shape, group: True, lambda element, y, group: y),
}


# Those that depend on the group by more than the matrices of its elements.
WITH_POSES = ("feature_map", "merged_feature_map", "poses", "tokens")


def smallest_error(
    y: jax.Array,
    moved: Mapping[int, jax.Array],
    group: FiniteGroup,
    kind: str | None,
    *,
    layer_groups: Iterable[FiniteGroup],
) -> tuple[str, dict[int, float]]:
    """The interpretation under which an array transforms best, and its relative error for each element.

    Args:
      y: the array for the untransformed input.
      moved: for each element, the array for the transformed input.
      group: the group.
      kind: the interpretation, where it is known.
      layer_groups: the groups of all layers. The poses of the array may be those of a larger group, in which the elements
        act as in the group.
    """
    names = [name for name in INTERPRETATIONS if kind in (None, name)]
    larger = [other for other in layer_groups if other != group and contains(other, group)]
    options = [(name, group, range(group.order)) for name in names]
    for other in larger:
        embedding = subgroup_elements(other, group).tolist()
        options += [(name, other, embedding) for name in names if name in WITH_POSES]
    candidates = []
    for name, acting, embedding in options:
        interpretation = INTERPRETATIONS[name]
        if interpretation.fits(y.shape, acting):
            errors = {
                g: relative_error(other, interpretation.act(embedding[g], y, acting)) for g, other in moved.items()
            }
            candidates.append((name, errors))
    if not candidates:
        raise ValueError(f"kinds: an array of shape {y.shape} cannot be a {kind!r} for {group.name}.")
    return min(candidates, key=lambda candidate: max(candidate[1].values(), default=0.0))

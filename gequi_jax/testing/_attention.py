"""Theorem 1 as a check: whether the maps of an attention operator transform as their signal does."""

from collections.abc import Callable, Sequence

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from gequi_jax.actions import act_on_grid, act_on_poses, grid_preserving_elements
from gequi_jax.groups import FiniteGroup
from gequi_jax.testing._equivariance import relative_error
from gequi_jax.testing._spaces import ACTIONS, InputSpace, check_input_space
from gequi_jax.testing._tolerances import tolerance_of


def attention_errors(
    maps: Callable[[Array], Array | Sequence[Array]],
    x: Array,
    *,
    group: FiniteGroup,
    input: InputSpace = "feature_map",
    pose_axes: Sequence[int],
    elements: Sequence[int] | None = None,
) -> Float[np.ndarray, " elements"]:
    """How far the maps of an attention operator A are from satisfying Theorem 1.

        A[L_g f](x, h, m) = A[f](g^-1 x, g^-1 h, g^-1 m)

    for maps over output poses h and input poses m, or with either pose alone. An attentive convolution is equivariant
    if and only if its maps satisfy it.

    Args:
      maps: from one input to a map, or to several: arrays `[batch, *spatial, ...]` with axes of size 1 where they do not
        vary, such as the method `attention_maps` of a layer.
      x: one batch of inputs.
      group: the group H.
      input: how the group acts on the input, "feature_map" or "grid".
      pose_axes: the axes of the maps that hold poses of H. An axis of size 1 does not change.
      elements: the indices of the elements to test; those that map the grid to itself by default.

    Returns:
      For each element the largest relative error of all maps, in Euclidean norms.

    Raises:
      ValueError: if an axis of poses is neither of size 1 nor of the order of the group.

    Example:
      >>> from gequi_jax.groups import cyclic_group
      >>> x = jnp.ones((1, 4, 4, 4, 2))
      >>> attention_errors(jnp.tanh, x, group=cyclic_group(4), pose_axes=(-2,)).tolist()
      [0.0, 0.0, 0.0, 0.0]
    """
    check_input_space(input)
    tested = grid_preserving_elements(group) if elements is None else list(elements)
    before = _as_list(maps(x))
    errors = []
    for element in tested:
        after = _as_list(maps(ACTIONS[input](element, x, group=group)))
        expected = [_transformed(element, one_map, group, pose_axes) for one_map in before]
        errors.append(max(relative_error(got, reference) for got, reference in zip(after, expected, strict=True)))
    return np.asarray(errors)


def assert_attention_equivariant(
    maps: Callable[[Array], Array | Sequence[Array]],
    x: Array,
    *,
    group: FiniteGroup,
    input: InputSpace = "feature_map",
    pose_axes: Sequence[int],
    elements: Sequence[int] | None = None,
    rtol: float | None = None,
):
    """Asserts that an attention operator satisfies Theorem 1, see `attention_errors`.

    Args:
      maps: from one input to a map, or to several: arrays `[batch, *spatial, ...]` with axes of size 1 where they do not
        vary, such as the method `attention_maps` of a layer.
      x: one batch of inputs.
      group: the group H.
      input: how the group acts on the input, "feature_map" or "grid".
      pose_axes: the axes of the maps that hold poses of H. An axis of size 1 does not change.
      elements: the indices of the elements to test; those that map the grid to itself by default.
      rtol: the largest relative error allowed; by default `tolerance` for the dtype and the platform of x.

    Raises:
      AssertionError: if an element exceeds the tolerance; the message names the worst element and its error.
    """
    tested = grid_preserving_elements(group) if elements is None else list(elements)
    limit = tolerance_of(x) if rtol is None else rtol
    errors = attention_errors(maps, x, group=group, input=input, pose_axes=pose_axes, elements=tested)
    # A comparison that NaN fails.
    if not (errors <= limit).all():
        worst = int(np.nan_to_num(errors, nan=np.inf).argmax())
        raise AssertionError(
            f"the attention operator does not satisfy Theorem 1 for {group.name}: under element {tested[worst]} its maps "
            f"have relative error {errors[worst]:.2e}, above the tolerance {limit:.0e}. A map may depend on poses h and "
            "m through h^-1 m only, on positions through filters that the group transforms, and on invariant statistics."
        )


def _as_list(maps: Array | Sequence[Array]) -> list[Array]:
    return list(maps) if isinstance(maps, tuple | list) else [jnp.asarray(maps)]


def _transformed(element: int, one_map: Array, group: FiniteGroup, pose_axes: Sequence[int]) -> Array:
    """L_g of a map: its grid is transformed and every axis of poses is permuted."""
    for axis in pose_axes:
        if one_map.shape[axis] not in (1, group.order):
            raise ValueError(
                f"pose_axes: expected axes of size 1 or {group.order}, the order of {group.name}; axis {axis} of a map of "
                f"shape {one_map.shape} has {one_map.shape[axis]}."
            )
        if one_map.shape[axis] == group.order:
            one_map = jnp.asarray(act_on_poses(element, one_map, group=group, axis=axis))
    spatial_shape = one_map.shape[1 : 1 + group.dim]
    merged = one_map.reshape(one_map.shape[0], *spatial_shape, -1)
    moved = jnp.asarray(act_on_grid(element, merged, group=group))
    return moved.reshape(*moved.shape[:-1], *one_map.shape[1 + group.dim :])

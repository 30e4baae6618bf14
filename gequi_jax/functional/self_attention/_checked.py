"""The arrays of self-attention from the arguments of the public functions, with the checks of their shapes."""

from collections.abc import Sequence
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from gequi_jax._checks import check_group_axis, check_spatial_axes
from gequi_jax._typing import Array, Int
from gequi_jax.functional._windows import Window, WindowMask, WindowSize, resolve_window
from gequi_jax.functional.self_attention._operands import Operands
from gequi_jax.functional.self_attention._pose_index import key_pose
from gequi_jax.groups import FiniteGroup


class Neighbourhood(NamedTuple):
    """The arguments that say which keys a query attends to."""

    group: FiniteGroup
    window_size: WindowSize | None
    window_mask: WindowMask | None

    def window(self, query: Array) -> Window:
        """The window on the grid of the query.

        Raises:
          ValueError: if it does not fit the grid or the group.
        """
        spatial_shape = query.shape[1 : 1 + self.group.dim]
        return resolve_window(self.window_size, self.window_mask, group=self.group, spatial_shape=spatial_shape)


def lifting_operands(
    arrays: Sequence[Array], position_encoding: Array, neighbourhood: Neighbourhood, *, scale: float | None
) -> tuple[Operands, Window]:
    """The operands and the window of lifting self-attention.

    Args:
      arrays: query, key and value, `[batch, *spatial, heads, features]`.
      position_encoding, scale: as in `lifting_self_attention`.
      neighbourhood: the group and the window.

    Raises:
      ValueError: if the shapes do not fit.
    """
    for array in arrays:
        check_spatial_axes(array, neighbourhood.group, other_axes=("batch", "heads", "features"))
    window = neighbourhood.window(arrays[0])
    query, key, value = (array[..., None, :, :] for array in arrays)
    pose_encoding = jnp.zeros((neighbourhood.group.order, 1, 1, 0), query.dtype)
    operands = Operands(scaled(query, scale), key, value, position_encoding, pose_encoding)
    _check_operands(operands, window)
    return operands, window


def group_operands(
    arrays: Sequence[Array],
    encodings: tuple[Array, Array],
    pose_index: Int[np.ndarray, "output query key"] | None,
    neighbourhood: Neighbourhood,
    *,
    scale: float | None,
) -> tuple[Operands, Window]:
    """The operands and the window of group self-attention.

    Args:
      arrays: query, key and value, `[batch, *spatial, group, heads, features]`.
      encodings: the position encoding, and the table of the pose encoding.
      pose_index, scale: as in `group_self_attention`.
      neighbourhood: the group and the window.

    Raises:
      ValueError: if the shapes do not fit.
    """
    for array in arrays:
        check_spatial_axes(array, neighbourhood.group, other_axes=("batch", "group", "heads", "features"))
        check_group_axis(array, neighbourhood.group, axis=-3)
    query, key, value = arrays
    window = neighbourhood.window(query)
    position_encoding, table = encodings
    index = _checked_pose_index(pose_index, neighbourhood.group, rows=table.shape[0])
    pose_encoding = jnp.take(table, index, axis=0)
    operands = Operands(scaled(query, scale), key, value, position_encoding, pose_encoding)
    _check_operands(operands, window)
    return operands, window


def _check_operands(operands: Operands, window: Window) -> None:
    query, key, value, position_encoding, pose_encoding = operands
    if key.shape != query.shape or value.shape[:-1] != query.shape[:-1]:
        raise ValueError(
            f"key, value: expected the shape of the query, {query.shape}, up to the features of the value; "
            f"got {key.shape} and {value.shape}."
        )
    features, pose_features = query.shape[-1], pose_encoding.shape[-1]
    if position_encoding.shape[-1] + pose_features > features:
        raise ValueError(
            f"position_encoding: its {position_encoding.shape[-1]} features and the {pose_features} of the pose encoding "
            f"must fit in the {features} features of the query."
        )
    if position_encoding.shape[:2] != (len(pose_encoding), window.size):
        raise ValueError(
            f"position_encoding: expected [group, window, features] = [{len(pose_encoding)}, {window.size}, ...] for the "
            f"window {window.shape}; got shape {position_encoding.shape}."
        )


def scaled(query: Array, scale: float | None) -> Array:
    """The query times the factor of the scores, `1 / sqrt(features)` by default."""
    return query * (query.shape[-1] ** -0.5 if scale is None else scale)


def _checked_pose_index(
    pose_index: Int[np.ndarray, "output query key"] | None, group: FiniteGroup, *, rows: int
) -> Int[np.ndarray, "output query key"]:
    """The rows of a pose encoding, those of `key_pose` by default.

    Raises:
      ValueError: if the table does not have the shape `[group, group, group]`, or a row does not exist.
    """
    index = np.asarray(key_pose(group) if pose_index is None else pose_index)
    if index.shape != (group.order,) * 3 or index.min() < 0 or index.max() >= rows:
        raise ValueError(
            f"pose_index: expected a table of shape {(group.order,) * 3} with rows of the pose encoding, 0 to "
            f"{rows - 1}; got shape {index.shape} with values {index.min()} to {index.max()}."
        )
    return index

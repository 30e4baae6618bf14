"""The arrays of self-attention from the arguments of the public functions, with the checks of their shapes."""

import numpy as np

from gequi_jax._typing import Array, Int
from gequi_jax.functional._windows import Window
from gequi_jax.functional.self_attention._operands import Operands
from gequi_jax.functional.self_attention._pose_index import key_pose
from gequi_jax.groups import FiniteGroup


def checked_operands(
    query: Array,
    key: Array,
    value: Array,
    position_encoding: Array,
    pose_encoding: Array,
    *,
    window: Window,
    scale: float | None,
) -> Operands:
    """The operands, with the query scaled.

    Args:
      query, key, value: `[batch, *spatial, pose, heads, features]`.
      position_encoding: `[group, window, position_features]`.
      pose_encoding: `[group, query, key, pose_features]`.
      window: the neighbourhood of each query.
      scale: the factor of the scores; `1 / sqrt(features)` if None.

    Raises:
      ValueError: if the shapes do not fit.
    """
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
    return Operands(scaled(query, scale), key, value, position_encoding, pose_encoding)


def scaled(query: Array, scale: float | None) -> Array:
    """The query times the factor of the scores, `1 / sqrt(features)` by default."""
    return query * (query.shape[-1] ** -0.5 if scale is None else scale)


def checked_pose_index(
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

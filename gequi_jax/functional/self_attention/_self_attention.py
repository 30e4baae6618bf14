"""Lifting and group self-attention: the public functions, for any group, any dimension, local and global.

Both are one operation. Lifting self-attention is group self-attention whose queries and keys have a single pose and
whose encoding has no pose term.
"""

import jax.numpy as jnp
import numpy as np

from gequi_jax._checks import check_group_axis, check_spatial_axes, check_window
from gequi_jax._typing import Array, Bool, FeatureMapHeads, FeatureMapValues, Float, GridHeads, GridValues, Int
from gequi_jax.functional.self_attention._global import attend_globally
from gequi_jax.functional.self_attention._pose_index import key_pose
from gequi_jax.functional.self_attention._reference import reference_globally, reference_locally
from gequi_jax.functional.self_attention._windowed import attend_locally
from gequi_jax.groups import FiniteGroup

IMPLEMENTATIONS = ("auto", "reference", "blocked")


def lifting_self_attention(
    query: GridHeads,
    key: GridHeads,
    value: GridValues,
    position_encoding: Float[Array, "group window position_features"],
    *,
    group: FiniteGroup,
    window_size: int | None = None,
    window_mask: Bool[np.ndarray, " window"] | None = None,
    scale: float | None = None,
    dropout_rate: float = 0.0,
    dropout_key: Array | None = None,
    implementation: str = "auto",
) -> FeatureMapValues:
    """Self-attention of an image under every transformed positional encoding: from R^d to the group.

        out(i, h) = sum_j softmax_j( scale q(i) . [k(j) + rho(h^-1 (x_j - x_i))] ) v(j)

    Equivariant: L_g on the input becomes L_g on the output, a moved grid with permuted poses.

    Args:
      query, key, value: `[batch, *spatial, heads, features]`.
      position_encoding: rho(h^-1 x) for every h, from `transformed_position_encodings`, with the offsets of the window,
        or all `prod(2 side - 1)` relative offsets for global attention. It meets the first `position_features` of the
        query.
      group: the group H.
      window_size: the odd side of the window of keys around each query; None attends to every position.
      window_mask: the offsets of the window that take part; all of them by default.
      scale: the factor of the scores; `1 / sqrt(features)` by default.
      dropout_rate: the fraction of attention weights that is set to 0; the others grow to keep the expectation.
      dropout_key: a `jax.random` key, needed where `dropout_rate > 0`.
      implementation: "reference" materialises all scores; "blocked" works through them in blocks and recomputes them in
        the backward pass; "auto" chooses.

    Returns:
      `[batch, *spatial, group, heads, features]`.

    Raises:
      ValueError: if shapes do not fit, the window is even or larger than twice the grid, or the key for dropout is
        missing.

    Reference: Romero & Cordonnier (2021), Eq. 14.
    """
    for array in (query, key, value):
        check_spatial_axes(array, group, other_axes=("batch", "heads", "features"))
    return _self_attention(
        *(array[..., None, :, :] for array in (query, key, value)),
        position_encoding,
        None,
        np.zeros((group.order, 1, 1), np.int64),
        group=group,
        window_size=window_size,
        window_mask=window_mask,
        scale=scale,
        dropout_rate=dropout_rate,
        dropout_key=dropout_key,
        implementation=implementation,
    )


def group_self_attention(
    query: FeatureMapHeads,
    key: FeatureMapHeads,
    value: FeatureMapValues,
    position_encoding: Float[Array, "group window position_features"],
    pose_encoding: Float[Array, "rows pose_features"],
    *,
    group: FiniteGroup,
    pose_index: Int[np.ndarray, "output query key"] | None = None,
    window_size: int | None = None,
    window_mask: Bool[np.ndarray, " window"] | None = None,
    scale: float | None = None,
    dropout_rate: float = 0.0,
    dropout_key: Array | None = None,
    implementation: str = "auto",
) -> FeatureMapValues:
    """Self-attention on the group: every output pose sums the attention of every query pose over all key poses.

        out(i, h) = sum_a sum_{j,b} softmax_{j,b}( scale q(i, a) . [k(j, b) + rho_h((i, a), (j, b))] ) v(j, b)
        rho_h((i, a), (j, b)) = (rho(h^-1 (x_j - x_i)), tau[pose_index[h, a, b]])

    Equivariant if `pose_index[k h, k a, k b] == pose_index[h, a, b]`: then L_g on the input becomes L_g on the output.

    Args:
      query, key, value: `[batch, *spatial, group, heads, features]`.
      position_encoding: rho(h^-1 x) for every h, as in `lifting_self_attention`. It meets the first `position_features`
        of the query.
      pose_encoding: the table tau; it meets the last `pose_features` of the query.
      group: the group H.
      pose_index: the row of tau for each output, query and key pose; h^-1 b by default, see `key_pose`.
      window_size: the odd side of the window of keys around each query; None attends to every position.
      window_mask: the offsets of the window that take part; all of them by default.
      scale: the factor of the scores; `1 / sqrt(features)` by default.
      dropout_rate: the fraction of attention weights, summed over a, that is set to 0; the others grow to keep the
        expectation.
      dropout_key: a `jax.random` key, needed where `dropout_rate > 0`.
      implementation: "reference" materialises all scores; "blocked" works through them in blocks and recomputes them in
        the backward pass; "auto" chooses.

    Returns:
      `[batch, *spatial, group, heads, features]`.

    Raises:
      ValueError: if shapes do not fit, the window is even or larger than twice the grid, or the key for dropout is
        missing.

    Reference: Romero & Cordonnier (2021), Eq. 16, with a pose encoding that is invariant.
    """
    for array in (query, key, value):
        check_spatial_axes(array, group, other_axes=("batch", "group", "heads", "features"))
        check_group_axis(array, group, axis=-3)
    index = np.asarray(key_pose(group) if pose_index is None else pose_index)
    if index.shape != (group.order,) * 3 or index.min() < 0 or index.max() >= pose_encoding.shape[0]:
        raise ValueError(
            f"pose_index: expected a table of shape {(group.order,) * 3} with rows of the pose encoding, 0 to "
            f"{pose_encoding.shape[0] - 1}; got shape {index.shape} with values {index.min()} to {index.max()}."
        )
    return _self_attention(
        query,
        key,
        value,
        position_encoding,
        pose_encoding,
        index,
        group=group,
        window_size=window_size,
        window_mask=window_mask,
        scale=scale,
        dropout_rate=dropout_rate,
        dropout_key=dropout_key,
        implementation=implementation,
    )


def _self_attention(
    query,
    key,
    value,
    position_encoding,
    pose_encoding,
    pose_index,
    *,
    group,
    window_size,
    window_mask,
    scale,
    dropout_rate,
    dropout_key,
    implementation,
):
    spatial_shape = query.shape[1 : 1 + group.dim]
    if key.shape != query.shape or value.shape[:-1] != query.shape[:-1]:
        raise ValueError(
            f"key, value: expected the shape of the query, {query.shape}, up to the features of the value; "
            f"got {key.shape} and {value.shape}."
        )
    if implementation not in IMPLEMENTATIONS:
        raise ValueError(f"implementation: expected one of {IMPLEMENTATIONS}; got {implementation!r}.")
    if not 0.0 <= dropout_rate < 1.0:
        raise ValueError(f"dropout_rate: expected a number from 0 to below 1; got {dropout_rate!r}.")
    if dropout_rate > 0.0 and dropout_key is None:
        raise ValueError("dropout_key: a dropout_rate above 0 needs a jax.random key; got None.")
    pose_features = 0 if pose_encoding is None else pose_encoding.shape[-1]
    if position_encoding.shape[-1] + pose_features > query.shape[-1]:
        raise ValueError(
            f"position_encoding: its {position_encoding.shape[-1]} features and the {pose_features} of the pose encoding "
            f"must fit in the {query.shape[-1]} features of the query."
        )
    if window_size is None:
        window_shape = tuple(2 * side - 1 for side in spatial_shape)
    else:
        check_window(window_size, spatial_shape)
        window_shape = (window_size,) * group.dim
    expected = (group.order, int(np.prod(window_shape)))
    if position_encoding.shape[:2] != expected:
        raise ValueError(
            f"position_encoding: expected [group, window, features] = [{expected[0]}, {expected[1]}, ...] for the window "
            f"{window_shape}; got shape {position_encoding.shape}."
        )
    mask = np.ones(expected[1], bool) if window_mask is None else np.asarray(window_mask, bool).reshape(-1)
    if mask.shape != (expected[1],):
        raise ValueError(f"window_mask: expected {expected[1]} entries for the window {window_shape}; got {mask.size}.")
    if implementation == "reference":
        attend = reference_globally if window_size is None else reference_locally
    else:
        attend = attend_globally if window_size is None else attend_locally
    return attend(
        query * (query.shape[-1] ** -0.5 if scale is None else scale),
        key,
        value,
        position_encoding,
        None if pose_encoding is None else jnp.take(pose_encoding, pose_index, axis=0),
        window_shape=window_shape,
        window_mask=mask,
        dropout_rate=dropout_rate,
        dropout_key=dropout_key if dropout_rate > 0.0 else None,
    )

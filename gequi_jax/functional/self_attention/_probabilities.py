"""The probabilities of self-attention for one query position: what the fast forms never hold all at once."""

import functools
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from gequi_jax._typing import Array, Bool, FeatureMapHeads, Float, GridHeads, Int
from gequi_jax.functional.self_attention._pose_index import key_pose
from gequi_jax.functional.self_attention._reference import wide_type
from gequi_jax.functional.self_attention._self_attention import group_self_attention, lifting_self_attention
from gequi_jax.groups import FiniteGroup


def lifting_self_attention_probabilities(
    query: GridHeads,
    key: GridHeads,
    position_encoding: Float[Array, "group window position_features"],
    *,
    position: Sequence[int],
    group: FiniteGroup,
    window_size: int | None = None,
    window_mask: Bool[np.ndarray, " window"] | None = None,
    scale: float | None = None,
) -> Float[Array, "batch *spatial group heads"]:
    """What lifting self-attention pays to every position from one query position, for every output pose.

        p(j; h) = softmax_j( scale q(i) . [k(j) + rho(h^-1 (x_j - x_i))] )

    With L_g f for f and g i for i, p becomes L_g p: p(g^-1 j; g^-1 h).

    Args:
      query, key, position_encoding, group, window_size, window_mask, scale: as in `lifting_self_attention`.
      position: the query position i, an index for each spatial axis.

    Returns:
      `[batch, *spatial, group, heads]`, 0 where no key takes part; its sum over the positions is 1.

    Raises:
      ValueError: as `lifting_self_attention`, and if the position is not on the grid.

    Reference: Romero & Cordonnier (2021), Eq. 14.
    """
    options = {"group": group, "window_size": window_size, "window_mask": window_mask}
    _check(lifting_self_attention, query, key, position_encoding, **options)
    index = _checked_position(position, query.shape[1 : 1 + group.dim])
    found = _probabilities(
        query[..., None, :, :], key[..., None, :, :], position_encoding, None, index, scale=scale, **options
    )
    return found[..., 0, 0, :]


def group_self_attention_probabilities(
    query: FeatureMapHeads,
    key: FeatureMapHeads,
    position_encoding: Float[Array, "group window position_features"],
    pose_encoding: Float[Array, "rows pose_features"],
    *,
    position: Sequence[int],
    group: FiniteGroup,
    pose_index: Int[np.ndarray, "output query key"] | None = None,
    window_size: int | None = None,
    window_mask: Bool[np.ndarray, " window"] | None = None,
    scale: float | None = None,
) -> Float[Array, "batch *spatial group query_group key_group heads"]:
    """What group self-attention pays to every position and pose from one query position, for every output pose.

        p(j, b; h, a) = softmax_{j,b}( scale q(i, a) . [k(j, b) + rho_h((i, a), (j, b))] )

    With L_g f for f and g i for i, p becomes p(g^-1 j, g^-1 b; g^-1 h, g^-1 a), if `pose_index` is invariant. The layer
    sums its outputs over a.

    Args:
      query, key, position_encoding, pose_encoding, group, pose_index, window_size, window_mask, scale: as in
        `group_self_attention`.
      position: the query position i, an index for each spatial axis.

    Returns:
      `[batch, *spatial, output pose h, query pose a, key pose b, heads]`, 0 where no key takes part; its sum over the
      positions and the key poses is 1.

    Raises:
      ValueError: as `group_self_attention`, and if the position is not on the grid.

    Reference: Romero & Cordonnier (2021), Eq. 16, with a pose encoding that is invariant.
    """
    options = {"group": group, "window_size": window_size, "window_mask": window_mask}
    _check(group_self_attention, query, key, position_encoding, pose_encoding, pose_index=pose_index, **options)
    index = _checked_position(position, query.shape[1 : 1 + group.dim])
    table = key_pose(group) if pose_index is None else pose_index
    encoding = jnp.take(pose_encoding, np.asarray(table), axis=0)  # [output, query, key, features]
    return _probabilities(query, key, position_encoding, encoding, index, scale=scale, **options)


def _probabilities(
    query: Array,
    key: Array,
    position_encoding: Array,
    pose_encoding: Array | None,
    position: tuple[int, ...],
    *,
    group: FiniteGroup,
    window_size: int | None,
    window_mask: np.ndarray | None,
    scale: float | None,
) -> Array:
    """Axes: n batch, j key positions, h output poses, a query poses, m key poses, t heads, d features."""
    spatial_shape = query.shape[1 : 1 + group.dim]
    offsets, valid = _offsets(position, spatial_shape, window_size, window_mask)
    wide = wide_type(query)
    one = query[(slice(None), *position)] * (query.shape[-1] ** -0.5 if scale is None else scale)  # [n, a, t, d]
    keys = key.reshape(key.shape[0], -1, *key.shape[-3:])

    def product(equation, *operands):
        return jnp.einsum(equation, *operands, preferred_element_type=wide)

    scores = product("natd,njmtd->njamt", one, keys)[:, :, None]
    place = jnp.take(position_encoding, offsets, axis=1)
    scores = scores + product("natd,hjd->njhat", one[..., : place.shape[-1]], place)[:, :, :, :, None]
    if pose_encoding is not None:
        tail = one[..., one.shape[-1] - pose_encoding.shape[-1] :]
        scores = scores + product("natd,hamd->nhamt", tail, pose_encoding)[:, None]
    # The query itself is a key, unless a mask removes all: then the weights are 0, not NaN.
    scores = jnp.where(jnp.asarray(valid).reshape(1, -1, 1, 1, 1, 1), scores, -jnp.inf)
    largest = scores.max(axis=(1, 4), keepdims=True)
    weights = jnp.exp(scores - jnp.where(jnp.isfinite(largest), largest, 0.0))
    total = weights.sum(axis=(1, 4), keepdims=True)
    found = weights / jnp.where(total > 0, total, 1.0)
    return found.reshape(found.shape[0], *spatial_shape, *found.shape[2:])


def _offsets(
    position: tuple[int, ...],
    spatial_shape: tuple[int, ...],
    window_size: int | None,
    window_mask: np.ndarray | None,
) -> tuple[Int[np.ndarray, " keys"], Bool[np.ndarray, " keys"]]:
    """Which offset of the window each position of the grid has from the query, and whether it takes part."""
    sides = np.asarray(2 * np.asarray(spatial_shape) - 1 if window_size is None else (window_size,) * len(position))
    steps = np.moveaxis(np.indices(spatial_shape), 0, -1).reshape(-1, len(position)) - position + sides // 2
    valid = ((steps >= 0) & (steps < sides)).all(axis=-1)
    offsets = np.ravel_multi_index(tuple(np.where(valid[:, None], steps, 0).T), tuple(sides))
    if window_mask is not None:
        valid = valid & np.asarray(window_mask, bool).reshape(-1)[offsets]
    return offsets, valid


def _check(function, query: Array, key: Array, *encodings: Array, **options):
    """The errors of the operation itself: nothing is computed."""
    jax.eval_shape(functools.partial(function, **options), query, key, key, *encodings)


def _checked_position(position: Sequence[int], spatial_shape: tuple[int, ...]) -> tuple[int, ...]:
    found = tuple(position)
    fits = len(found) == len(spatial_shape) and all(
        isinstance(index, int | np.integer) and 0 <= index < side
        for index, side in zip(found, spatial_shape, strict=True)
    )
    if not fits:
        raise ValueError(
            f"position: expected the index of a query for each spatial axis, 0 to side - 1 of {spatial_shape}; "
            f"got {found}."
        )
    return tuple(int(index) for index in found)

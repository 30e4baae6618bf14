"""The attention probabilities of one query position, which the fast implementations never hold all at once."""

from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np

from gequi_jax._checks import check_index
from gequi_jax._typing import Array, Bool, FeatureMapHeads, Float, GridHeads, Int
from gequi_jax.functional._types import wide_type
from gequi_jax.functional._windows import Window, WindowMask, WindowSize
from gequi_jax.functional.self_attention._checked import Neighbourhood, group_operands, lifting_operands
from gequi_jax.functional.self_attention._operands import Operands
from gequi_jax.groups import FiniteGroup


def lifting_self_attention_probabilities(
    query: GridHeads,
    key: GridHeads,
    position_encoding: Float[Array, "group window position_features"],
    *,
    position: Sequence[int],
    group: FiniteGroup,
    window_size: WindowSize | None = None,
    window_mask: WindowMask | None = None,
    scale: float | None = None,
) -> Float[Array, "batch *spatial group heads"]:
    """The probabilities with which one query position of lifting self-attention attends to every position.

        p(j; h) = softmax_j( scale q(i) . [k(j) + rho(h^-1 (x_j - x_i))] )

    With L_g f for f and g i for i, p becomes L_g p: p(g^-1 j; g^-1 h).

    Args:
      query, key: `[batch, *spatial, heads, features]`.
      position_encoding: rho(h^-1 x) for every h, from `transformed_position_encodings`, with the offsets of the window,
        or all `prod(2 side - 1)` relative offsets for global attention. It meets the first `position_features` of the
        query.
      position: the query position i, an index for each spatial axis.
      group: the group H.
      window_size: the odd side of the window of keys around each query, or one side for each axis; None attends to every
        position.
      window_mask: the offsets of the window that take part, all by default: a mask of the shape of the window, or
        flattened, or a function from that shape to a mask, such as `gequi_jax.actions.round_window`.
      scale: the factor of the scores; `1 / sqrt(features)` by default.

    Returns:
      `[batch, *spatial, group, heads]`, 0 where no key takes part; its sum over the positions is 1.

    Raises:
      ValueError: if shapes do not fit, the window is even, larger than twice the grid or not preserved by the group, or
        the position is not on the grid.

    Reference: Romero & Cordonnier (2021), Eq. 14.
    """
    neighbourhood = Neighbourhood(group, window_size, window_mask)
    operands, window = lifting_operands((query, key, key), position_encoding, neighbourhood, scale=scale)
    return _probabilities(operands, window, position)[..., 0, 0, :]


def group_self_attention_probabilities(
    query: FeatureMapHeads,
    key: FeatureMapHeads,
    position_encoding: Float[Array, "group window position_features"],
    pose_encoding: Float[Array, "rows pose_features"],
    *,
    position: Sequence[int],
    group: FiniteGroup,
    pose_index: Int[np.ndarray, "output query key"] | None = None,
    window_size: WindowSize | None = None,
    window_mask: WindowMask | None = None,
    scale: float | None = None,
) -> Float[Array, "batch *spatial group query_group key_group heads"]:
    """The probabilities with which one query position of group self-attention attends to every position and pose.

        p(j, b; h, a) = softmax_{j,b}( scale q(i, a) . [k(j, b) + rho_h((i, a), (j, b))] )

    With L_g f for f and g i for i, p becomes p(g^-1 j, g^-1 b; g^-1 h, g^-1 a), if `pose_index` is invariant. The layer
    sums its outputs over a.

    Args:
      query, key: `[batch, *spatial, group, heads, features]`.
      position_encoding: rho(h^-1 x) for every h, from `transformed_position_encodings`, with the offsets of the window,
        or all `prod(2 side - 1)` relative offsets for global attention. It meets the first `position_features` of the
        query.
      pose_encoding: the table tau; it meets the last `pose_features` of the query.
      position: the query position i, an index for each spatial axis.
      group: the group H.
      pose_index: the row of tau for each output, query and key pose; h^-1 b by default, see `key_pose`.
      window_size: the odd side of the window of keys around each query, or one side for each axis; None attends to every
        position.
      window_mask: the offsets of the window that take part, all by default: a mask of the shape of the window, or
        flattened, or a function from that shape to a mask, such as `gequi_jax.actions.round_window`.
      scale: the factor of the scores; `1 / sqrt(features)` by default.

    Returns:
      `[batch, *spatial, output pose h, query pose a, key pose b, heads]`, 0 where no key takes part; its sum over the
      positions and the key poses is 1.

    Raises:
      ValueError: if shapes do not fit, the window is even, larger than twice the grid or not preserved by the group, or
        the position is not on the grid.

    Reference: Romero & Cordonnier (2021), Eq. 16, with a pose encoding that is invariant.
    """
    arrays, encodings = (query, key, key), (position_encoding, pose_encoding)
    neighbourhood = Neighbourhood(group, window_size, window_mask)
    operands, window = group_operands(arrays, encodings, pose_index, neighbourhood, scale=scale)
    return _probabilities(operands, window, position)


def _probabilities(operands: Operands, window: Window, position: Sequence[int]) -> Array:
    """Axes: n batch, j key positions, h output poses, a query poses, m key poses, t heads, d features."""
    query, key, _, position_encoding, pose_encoding = operands
    spatial_shape = query.shape[1:-3]
    index = check_index("position", position, spatial_shape)
    offsets, valid = _offsets(index, spatial_shape, window)
    one = query[(slice(None), *index)]  # [n, a, t, d]
    keys = key.reshape(key.shape[0], -1, *key.shape[-3:])

    def product(equation, *arrays):
        return jnp.einsum(equation, *arrays, preferred_element_type=wide_type(query))

    place = jnp.take(position_encoding, offsets, axis=1)
    last = one[..., one.shape[-1] - pose_encoding.shape[-1] :]
    scores = product("natd,njmtd->njamt", one, keys)[:, :, None]
    scores = scores + product("natd,hjd->njhat", one[..., : place.shape[-1]], place)[:, :, :, :, None]
    scores = scores + product("natd,hamd->nhamt", last, pose_encoding)[:, None]
    scores = jnp.where(jnp.asarray(valid).reshape(1, -1, 1, 1, 1, 1), scores, -jnp.inf)
    largest = scores.max(axis=(1, 4), keepdims=True)
    # A mask may remove every key: then the probabilities are 0, not NaN.
    weights = jnp.exp(scores - jnp.where(jnp.isfinite(largest), largest, 0.0))
    total = weights.sum(axis=(1, 4), keepdims=True)
    probabilities = weights / jnp.where(total > 0, total, 1.0)
    return probabilities.reshape(probabilities.shape[0], *spatial_shape, *probabilities.shape[2:])


def _offsets(
    position: tuple[int, ...], spatial_shape: tuple[int, ...], window: Window
) -> tuple[Int[np.ndarray, " keys"], Bool[np.ndarray, " keys"]]:
    """Which offset of the window each position of the grid has from the query, and whether it takes part."""
    sides = np.asarray(window.shape)
    steps = np.moveaxis(np.indices(spatial_shape), 0, -1).reshape(-1, len(position)) - position + sides // 2
    inside = ((steps >= 0) & (steps < sides)).all(axis=-1)
    offsets = np.ravel_multi_index(tuple(np.where(inside[:, None], steps, 0).T), window.shape)
    return np.asarray(offsets), inside & window.mask[offsets]

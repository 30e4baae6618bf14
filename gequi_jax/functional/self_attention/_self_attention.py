"""Lifting and group self-attention: the public functions, for any group, any dimension, local and global.

Both are one operation. Lifting self-attention is group self-attention whose queries and keys have a single pose and
whose encoding has no pose term.
"""

import numpy as np

from gequi_jax._typing import Array, FeatureMapHeads, FeatureMapValues, Float, GridHeads, GridValues, Int
from gequi_jax.functional._windows import WindowMask, WindowSize
from gequi_jax.functional.self_attention._checked import Neighbourhood, group_operands, lifting_operands
from gequi_jax.functional.self_attention._dropout import resolve_dropout
from gequi_jax.functional.self_attention._implementations import Implementation, choose
from gequi_jax.groups import FiniteGroup


def lifting_self_attention(
    query: GridHeads,
    key: GridHeads,
    value: GridValues,
    position_encoding: Float[Array, "group window position_features"],
    *,
    group: FiniteGroup,
    window_size: WindowSize | None = None,
    window_mask: WindowMask | None = None,
    scale: float | None = None,
    dropout_rate: float = 0.0,
    dropout_key: Array | None = None,
    implementation: Implementation = "auto",
) -> FeatureMapValues:
    """Self-attention of an image under every transformed positional encoding: from R^d to the group.

        out(i, h) = sum_j softmax_j( scale q(i) . [k(j) + rho(h^-1 (x_j - x_i))] ) v(j)

    Equivariant: L_g on the input becomes L_g on the output, a transformed grid with permuted poses.

    Args:
      query, key, value: `[batch, *spatial, heads, features]`.
      position_encoding: rho(h^-1 x) for every h, from `transformed_position_encodings`, with the offsets of the window,
        or all `prod(2 side - 1)` relative offsets for global attention. It meets the first `position_features` of the
        query.
      group: the group H.
      window_size: the odd side of the window of keys around each query, or one side for each axis; None attends to every
        position.
      window_mask: the offsets of the window that take part, all by default: a mask of the shape of the window, or
        flattened, or a function from that shape to a mask, such as `gequi_jax.actions.round_window`.
      scale: the factor of the scores; `1 / sqrt(features)` by default.
      dropout_rate: the fraction of attention weights that is set to 0; the others grow to keep the expectation.
      dropout_key: a `jax.random` key, needed where `dropout_rate > 0`.
      implementation: "reference" computes all scores at once; "blocked" computes them in blocks and recomputes them in
        the backward pass; "pallas" is a fused kernel for TPUs, interpreted on a CPU, which is slow; "auto" chooses
        "reference" for global attention with few scores, else "blocked".

    Returns:
      `[batch, *spatial, group, heads, features]`.

    Raises:
      ValueError: if shapes do not fit, the window is even, larger than twice the grid or not preserved by the group, or
        the key for dropout is missing.

    Reference: Romero & Cordonnier (2021), Eq. 14.
    """
    neighbourhood = Neighbourhood(group, window_size, window_mask)
    operands, window = lifting_operands((query, key, value), position_encoding, neighbourhood, scale=scale)
    return choose(implementation, operands, window)(operands, window, resolve_dropout(dropout_rate, dropout_key))


def group_self_attention(
    query: FeatureMapHeads,
    key: FeatureMapHeads,
    value: FeatureMapValues,
    position_encoding: Float[Array, "group window position_features"],
    pose_encoding: Float[Array, "rows pose_features"],
    *,
    group: FiniteGroup,
    pose_index: Int[np.ndarray, "output query key"] | None = None,
    window_size: WindowSize | None = None,
    window_mask: WindowMask | None = None,
    scale: float | None = None,
    dropout_rate: float = 0.0,
    dropout_key: Array | None = None,
    implementation: Implementation = "auto",
) -> FeatureMapValues:
    """Self-attention on the group: every output pose sums the attention of every query pose over all key poses.

        out(i, h) = sum_a sum_{j,b} softmax_{j,b}( scale q(i, a) . [k(j, b) + rho_h((i, a), (j, b))] ) v(j, b)
        rho_h((i, a), (j, b)) = (rho(h^-1 (x_j - x_i)), tau[pose_index[h, a, b]])

    Equivariant if `pose_index[k h, k a, k b] == pose_index[h, a, b]`: then L_g on the input becomes L_g on the output.

    Args:
      query, key, value: `[batch, *spatial, group, heads, features]`.
      position_encoding: rho(h^-1 x) for every h, from `transformed_position_encodings`, with the offsets of the window,
        or all `prod(2 side - 1)` relative offsets for global attention. It meets the first `position_features` of the
        query.
      pose_encoding: the table tau; it meets the last `pose_features` of the query.
      group: the group H.
      pose_index: the row of tau for each output, query and key pose; h^-1 b by default, see `key_pose`.
      window_size: the odd side of the window of keys around each query, or one side for each axis; None attends to every
        position.
      window_mask: the offsets of the window that take part, all by default: a mask of the shape of the window, or
        flattened, or a function from that shape to a mask, such as `gequi_jax.actions.round_window`.
      scale: the factor of the scores; `1 / sqrt(features)` by default.
      dropout_rate: the fraction of attention weights, summed over a, that is set to 0; the others grow to keep the
        expectation.
      dropout_key: a `jax.random` key, needed where `dropout_rate > 0`.
      implementation: "reference" computes all scores at once; "blocked" computes them in blocks and recomputes them in
        the backward pass; "pallas" is a fused kernel for TPUs, interpreted on a CPU, which is slow; "auto" chooses
        "reference" for global attention with few scores, else "blocked".

    Returns:
      `[batch, *spatial, group, heads, features]`.

    Raises:
      ValueError: if shapes do not fit, the window is even, larger than twice the grid or not preserved by the group, or
        the key for dropout is missing.

    Reference: Romero & Cordonnier (2021), Eq. 16, with a pose encoding that is invariant.
    """
    arrays, encodings = (query, key, value), (position_encoding, pose_encoding)
    neighbourhood = Neighbourhood(group, window_size, window_mask)
    operands, window = group_operands(arrays, encodings, pose_index, neighbourhood, scale=scale)
    return choose(implementation, operands, window)(operands, window, resolve_dropout(dropout_rate, dropout_key))

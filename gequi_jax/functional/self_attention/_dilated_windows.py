"""Self-attention of one output scale, in a window whose spacing is that scale, and the checks of its arrays."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from gequi_jax._checks import check_choice, check_window
from gequi_jax._typing import Array, Float
from gequi_jax.groups import DyadicDilations


class DilatedOperands(NamedTuple):
    """The arrays of dilation self-attention.

    Attributes:
      query, key, value: `[batch, *spatial, scale, heads, features]`; of an image without the axis of scales.
      position_encoding: `[window, position_features]`; it meets the first features of the query.
      scale_encoding: `[scale, scale_features]`; it meets the last features of the query.
    """

    query: Array
    key: Array
    value: Array
    position_encoding: Array
    scale_encoding: Array


def attend(
    operands: DilatedOperands, log_weights: Float[np.ndarray, " scale"], *, window_shape: tuple[int, ...], spacing: int
) -> Array:
    """One output scale, `[batch, *spatial, heads, features]`.

    In the einsums: b batch, p positions, a and m the scales of query and key, h heads, d features, and the keys k, which
    are the scales m within the window offsets j.

    Args:
      operands: the arrays at the scales that take part.
      log_weights: the logarithm of the weight of each key scale.
      window_shape: the sides of the window.
      spacing: the step between neighbouring offsets of the window.
    """
    query, _, _, position_encoding, scale_encoding = operands
    batch, *spatial_shape, scales, heads, features = query.shape
    query = query.reshape(batch, -1, scales, heads, features)
    keys, values = (
        dilated_windows(array, window_shape, spacing).reshape(*query.shape[:2], -1, *array.shape[-2:])
        for array in (operands.key, operands.value)
    )
    scores = jnp.einsum("bpahd,bpkhd->bpahk", query, keys)
    place = jnp.einsum("bpahd,jd->bpahj", query[..., : position_encoding.shape[-1]], position_encoding)
    last = query[..., features - scale_encoding.shape[-1] :]
    by_scale = jnp.einsum("bpahd,md->bpahm", last, scale_encoding)
    by_scale = by_scale + jnp.asarray(log_weights, scores.dtype).reshape(1, 1, 1, 1, -1)
    scores = scores + jnp.repeat(place, scales, axis=-1) + jnp.tile(by_scale, (1, 1, 1, 1, math.prod(window_shape)))
    inside = dilated_windows(jnp.ones((1, *spatial_shape), bool), window_shape, spacing)
    inside = jnp.repeat(inside.reshape(1, query.shape[1], 1, 1, -1), scales, axis=-1)
    scores = jnp.where(inside, scores, -jnp.inf)
    attention = jax.nn.softmax(scores.astype(jnp.promote_types(scores.dtype, jnp.float32)), axis=-1)
    out = jnp.einsum("bpahk,bpkhd->bphd", attention.astype(values.dtype), values)
    return out.reshape(batch, *spatial_shape, *out.shape[2:])


def dilated_windows(array: Array, window_shape: tuple[int, ...], spacing: int) -> Array:
    """`[batch, *spatial, ...]` to `[batch, *spatial, window, ...]`: the neighbours at multiples of the spacing."""
    dim = len(window_shape)
    radii = [side // 2 * spacing for side in window_shape]
    padded = jnp.pad(array, [(0, 0), *((radius, radius) for radius in radii), *[(0, 0)] * (array.ndim - 1 - dim)])
    lengths = array.shape[1 : 1 + dim]
    shifted = [
        padded[(slice(None), *(slice(spacing * s, spacing * s + n) for s, n in zip(start, lengths, strict=True)))]
        for start in np.ndindex(*window_shape)
    ]
    return jnp.stack(shifted, axis=1 + dim)


def check_dilated(
    operands: DilatedOperands,
    dilations: DyadicDilations,
    window_size: int,
    haar_weights: str,
    choices: Sequence[str],
    *,
    on_group: bool,
) -> None:
    """Checks the arguments of dilation self-attention.

    Raises:
      ValueError: if shapes do not fit, the window is even, or the name of the weights is unknown.
    """
    check_choice("haar_weights", haar_weights, choices)
    check_window(window_size)
    _check_query_key_value(operands, dilations, on_group)
    _check_encodings(operands, dilations, window_size)


def _check_query_key_value(operands: DilatedOperands, dilations: DyadicDilations, on_group: bool) -> None:
    query, key, value = operands[:3]
    if query.ndim != dilations.dim + 3 + on_group or key.shape != query.shape or value.shape[:-1] != query.shape[:-1]:
        axes = f"[batch, *spatial, {'scale, ' if on_group else ''}heads, features]"
        raise ValueError(
            f"query, key, value: expected three arrays {axes} with {dilations.dim} spatial axes, of equal shape up to "
            f"the features of the value; got shapes {query.shape}, {key.shape} and {value.shape}."
        )
    if on_group and query.shape[-3] != dilations.num_scales:
        raise ValueError(
            f"query, key, value: expected {dilations.num_scales} scales on axis -3; got shape {query.shape}."
        )


def _check_encodings(operands: DilatedOperands, dilations: DyadicDilations, window_size: int) -> None:
    query, _, _, position_encoding, scale_encoding = operands
    features = position_encoding.shape[-1] + scale_encoding.shape[-1]
    if position_encoding.shape[0] != window_size**dilations.dim or features > query.shape[-1]:
        raise ValueError(
            f"position_encoding: expected [{window_size**dilations.dim}, features] for a window of side {window_size}, with "
            f"at most the {query.shape[-1]} features of the query, those of the scales included; got shape "
            f"{position_encoding.shape} and {features} features in all."
        )
    if not 1 <= scale_encoding.shape[0] <= dilations.num_scales:
        raise ValueError(
            f"scale_encoding: expected 1 to {dilations.num_scales} rows, one for each ratio of scales; got shape "
            f"{scale_encoding.shape}."
        )

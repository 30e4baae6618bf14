"""Self-attention on the dilation-translation group, with neighbourhoods that grow by dilation.

The neighbourhood of output scale h is the window of scale 1 with h times the spacing, so that every scale costs the same.
Three ways to weigh its sum are offered as `haar_weights`:

* "in_softmax", the default: the Haar measure weighs the keys inside the softmax, in numerator and normaliser alike. Each
  sample of a neighbourhood stands for a cell of volume h^d, common to all of them and cancelled by the normaliser; what
  stays is the measure of the key scale b relative to h, (b / h)^-d.
* "printed": the attention of output scale h is multiplied by 1 / h^d in lifting and 1 / h^(d+1) on the group, after the
  softmax, as the paper prints it. The softmax of a larger neighbourhood already sums to 1, so that these factors do not
  restore equivariance but break it, by themselves.
* "none": no weights. Equivariant too, since only ratios of scales enter; the same as "in_softmax" in lifting.
"""

import itertools

import jax
import jax.numpy as jnp
import numpy as np

from gequi_jax._checks import check_window
from gequi_jax._typing import Array, FeatureMapHeads, FeatureMapValues, Float, GridHeads, GridValues
from gequi_jax.groups import DyadicDilations

HAAR_WEIGHTS = ("in_softmax", "printed", "none")


def lifting_dilation_attention(
    query: GridHeads,
    key: GridHeads,
    value: GridValues,
    position_encoding: Float[Array, "window position_features"],
    *,
    dilations: DyadicDilations,
    window_size: int,
    haar_weights: str = "in_softmax",
    scale: float | None = None,
) -> FeatureMapValues:
    """Self-attention of an image in neighbourhoods of every scale: from R^d to the dilation-translation group.

        out(i, h) = sum_{j in h N(i)} softmax_j( scale q(i) . [k(j) + rho(h^-1 (x_j - x_i))] ) v(j)

    Transforms under a dilation s by a shift of scales: from the image f(x / s) it makes out(x / s, h / s), exactly at
    the positions that s maps to positions, away from the borders.

    Args:
      query, key, value: `[batch, *spatial, heads, features]`.
      position_encoding: rho on the offsets of the window at scale 1; it meets the first features of the query.
      dilations: the scales.
      window_size: the odd side of the window.
      haar_weights: see the head of this file; here "in_softmax" and "none" are the same.
      scale: the factor of the scores; `1 / sqrt(features)` by default.

    Returns:
      `[batch, *spatial, scale, heads, features]`.

    Raises:
      ValueError: if shapes do not fit, the window is even, or the name of the weights is unknown.

    Reference: Romero & Cordonnier (2021), Eq. 20, whose weights are "printed", and Appendix E.1, second option.
    """
    arrays = (query, key, value)
    _check(
        arrays, position_encoding, None, dilations, window_size, haar_weights, axes="[batch, *spatial, heads, features]"
    )
    query, key, value = (array[..., None, :, :] for array in arrays)
    factors = dilations.lifting_weights if haar_weights == "printed" else np.ones(dilations.num_scales)
    outputs = [
        factor
        * _attend(query, key, value, position_encoding, None, np.zeros(1), int(h), window_size, dilations.dim, scale)
        for h, factor in zip(dilations.scales, factors.tolist(), strict=True)
    ]
    return jnp.stack(outputs, axis=-3)


def group_dilation_attention(
    query: FeatureMapHeads,
    key: FeatureMapHeads,
    value: FeatureMapValues,
    position_encoding: Float[Array, "window position_features"],
    scale_encoding: Float[Array, "scale_window scale_features"],
    *,
    dilations: DyadicDilations,
    window_size: int,
    haar_weights: str = "in_softmax",
    scale: float | None = None,
) -> FeatureMapValues:
    """Self-attention on the dilation-translation group: over positions and over the next larger scales.

        out(i, h) = sum_a sum_{(j,b) in h N(i)} softmax_{j,b}(
                        scale q(i, a) . [k(j, b) + (rho(h^-1 (x_j - x_i)), tau[b / h])] + log mu(b / h) ) v(j, b)

    The scales a of the query and b of the key run over h, 2 h, ..., as many as tau has rows; those above the largest
    scale are left out, as positions beyond a border are. mu(t) = t^-d is the Haar weight, or 1.

    Transforms under a dilation s by a shift of scales: from f(x / s, h / s) it makes out(x / s, h / s), at scales whose
    larger neighbours are all there, at the positions that s maps to positions and away from the borders.

    Args:
      query, key, value: `[batch, *spatial, scale, heads, features]`.
      position_encoding: rho on the offsets of the window at scale 1; it meets the first features of the query.
      scale_encoding: tau, a row for each ratio b / h = 1, 2, 4, ...; it meets the last features of the query.
      dilations: the scales.
      window_size: the odd side of the window.
      haar_weights: see the head of this file.
      scale: the factor of the scores; `1 / sqrt(features)` by default.

    Returns:
      `[batch, *spatial, scale, heads, features]`.

    Raises:
      ValueError: if shapes do not fit, the window is even, or the name of the weights is unknown.

    Reference: Romero & Cordonnier (2021), Eq. 21, whose weights are "printed", and Appendix E.1, second option.
    """
    arrays = (query, key, value)
    axes = "[batch, *spatial, scale, heads, features]"
    _check(arrays, position_encoding, scale_encoding, dilations, window_size, haar_weights, axes=axes)
    scales, scale_window = dilations.scales, scale_encoding.shape[0]
    factors = dilations.group_weights if haar_weights == "printed" else np.ones(dilations.num_scales)
    measure = dilations.octave_weights if haar_weights == "in_softmax" else np.ones(dilations.num_scales)
    outputs = []
    for index, (h, factor) in enumerate(zip(scales, factors.tolist(), strict=True)):
        seen = slice(index, index + scale_window)
        log_weights = np.log(measure[seen] / measure[index])
        out = _attend(
            *(array[..., seen, :, :] for array in arrays),
            position_encoding,
            scale_encoding[: log_weights.size],
            log_weights,
            int(h),
            window_size,
            dilations.dim,
            scale,
        )
        outputs.append(factor * out)
    return jnp.stack(outputs, axis=-3)


def _attend(
    query, key, value, position_encoding, scale_encoding, log_weights, spacing, window_size, dim, scale
) -> Array:
    """One output scale: `[batch, *spatial, scale, heads, features]` to `[batch, *spatial, heads, features]`.

    In the einsums: b batch, p positions, a and m the scales of query and key, h heads, d features, and k the keys, which
    are m within the window offsets j.
    """
    batch, spatial_shape, scales = query.shape[0], query.shape[1 : 1 + dim], query.shape[-3]
    query = query.reshape(batch, -1, *query.shape[1 + dim :]) * (query.shape[-1] ** -0.5 if scale is None else scale)
    keys, values = (
        _dilated_windows(array, window_size, spacing, dim).reshape(*query.shape[:2], -1, *array.shape[-2:])
        for array in (key, value)
    )
    inside = _dilated_windows(jnp.ones((1, *spatial_shape), bool), window_size, spacing, dim)
    inside = jnp.repeat(inside.reshape(1, query.shape[1], 1, 1, -1), scales, axis=-1)
    scores = jnp.einsum("bpahd,bpkhd->bpahk", query, keys)
    place = jnp.einsum("bpahd,jd->bpahj", query[..., : position_encoding.shape[-1]], position_encoding)
    scores = scores + jnp.repeat(place, scales, axis=-1)
    by_scale = jnp.asarray(log_weights, scores.dtype)[None, None, None, None]
    if scale_encoding is not None:
        features = query[..., query.shape[-1] - scale_encoding.shape[-1] :]
        by_scale = by_scale + jnp.einsum("bpahd,md->bpahm", features, scale_encoding)
    scores = scores + jnp.tile(by_scale, (1, 1, 1, 1, window_size**dim))
    scores = jnp.where(inside, scores, -jnp.inf)
    attention = jax.nn.softmax(scores.astype(jnp.promote_types(scores.dtype, jnp.float32)), axis=-1)
    out = jnp.einsum("bpahk,bpkhd->bphd", attention.astype(values.dtype), values)
    return out.reshape(batch, *spatial_shape, *out.shape[2:])


def _dilated_windows(array: Array, window_size: int, spacing: int, dim: int) -> Array:
    """`[batch, *spatial, ...]` to `[batch, *spatial, window, ...]`: the neighbours at multiples of the spacing."""
    radius = window_size // 2 * spacing
    padded = jnp.pad(array, [(0, 0)] + [(radius, radius)] * dim + [(0, 0)] * (array.ndim - 1 - dim))
    sides = array.shape[1 : 1 + dim]
    starts = range(0, 2 * radius + 1, spacing) if window_size > 1 else (0,)
    shifted = [
        padded[(slice(None), *(slice(start, start + side) for start, side in zip(corner, sides, strict=True)))]
        for corner in itertools.product(starts, repeat=dim)
    ]
    return jnp.stack(shifted, axis=1 + dim)


def _check(arrays, position_encoding, scale_encoding, dilations, window_size, haar_weights, *, axes):
    query, key, value = arrays
    on_group = scale_encoding is not None
    if query.ndim != dilations.dim + 3 + on_group or key.shape != query.shape or value.shape[:-1] != query.shape[:-1]:
        raise ValueError(
            f"query, key, value: expected three arrays {axes} with {dilations.dim} spatial axes, alike up to the features "
            f"of the value; got shapes {query.shape}, {key.shape} and {value.shape}."
        )
    if haar_weights not in HAAR_WEIGHTS:
        raise ValueError(f"haar_weights: expected one of {HAAR_WEIGHTS}; got {haar_weights!r}.")
    check_window(window_size)
    features = position_encoding.shape[-1] + (scale_encoding.shape[-1] if on_group else 0)
    if position_encoding.shape[0] != window_size**dilations.dim or features > query.shape[-1]:
        raise ValueError(
            f"position_encoding: expected [{window_size**dilations.dim}, features] for a window of side {window_size}, with "
            f"at most the {query.shape[-1]} features of the query, those of the scales included; got shape "
            f"{position_encoding.shape} and {features} features in all."
        )
    if on_group and query.shape[-3] != dilations.num_scales:
        raise ValueError(
            f"query, key, value: expected {dilations.num_scales} scales on axis -3; got shape {query.shape}."
        )
    if on_group and not 1 <= scale_encoding.shape[0] <= dilations.num_scales:
        raise ValueError(
            f"scale_encoding: expected 1 to {dilations.num_scales} rows, one for each ratio of scales; got shape "
            f"{scale_encoding.shape}."
        )

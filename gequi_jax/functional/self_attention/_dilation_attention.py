"""Self-attention on the dilation-translation group, with neighbourhoods that grow by dilation.

The neighbourhood of output scale h is the window of scale 1 with h times the spacing, so that every scale costs the same.
"""

from typing import Literal, get_args

import jax.numpy as jnp
import numpy as np

from gequi_jax._typing import Array, FeatureMapHeads, FeatureMapValues, Float, GridHeads, GridValues
from gequi_jax.functional.self_attention._checked import scaled
from gequi_jax.functional.self_attention._dilated_windows import DilatedOperands, attend, check_dilated
from gequi_jax.groups import DyadicDilations

HaarWeights = Literal["in_softmax", "printed", "none"]
HAAR_WEIGHTS = get_args(HaarWeights)


def lifting_dilation_attention(
    query: GridHeads,
    key: GridHeads,
    value: GridValues,
    position_encoding: Float[Array, "window position_features"],
    *,
    dilations: DyadicDilations,
    window_size: int,
    haar_weights: HaarWeights = "in_softmax",
    scale: float | None = None,
) -> FeatureMapValues:
    """Self-attention of an image in neighbourhoods of every scale: from R^d to the dilation-translation group.

        out(i, h) = sum_{j in h N(i)} softmax_j( scale q(i) . [k(j) + rho(h^-1 (x_j - x_i))] ) v(j)

    Transforms under a dilation s by a shift of scales: the image f(x / s) gives out(x / s, h / s), exactly at the
    positions that s maps to positions, away from the borders.

    Args:
      query, key, value: `[batch, *spatial, heads, features]`.
      position_encoding: rho on the offsets of the window at scale 1; it meets the first features of the query.
      dilations: the scales.
      window_size: the odd side of the window.
      haar_weights: "in_softmax" and "none" are the same here; "printed" multiplies the output of scale h by 1 / h^d, as
        the paper does, which breaks equivariance.
      scale: the factor of the scores; `1 / sqrt(features)` by default.

    Returns:
      `[batch, *spatial, scale, heads, features]`.

    Raises:
      ValueError: if shapes do not fit, the window is even, or the name of the weights is unknown.

    Reference: Romero & Cordonnier (2021), Eq. 20, whose weights are "printed", and Appendix E.1, second option.
    """
    no_scales = jnp.zeros((1, 0), query.dtype)
    operands = DilatedOperands(query, key, value, position_encoding, no_scales)
    check_dilated(operands, dilations, window_size, haar_weights, HAAR_WEIGHTS, on_group=False)
    query, key, value = (array[..., None, :, :] for array in (scaled(query, scale), key, value))
    operands = DilatedOperands(query, key, value, position_encoding, no_scales)
    factors = dilations.lifting_weights if haar_weights == "printed" else np.ones(dilations.num_scales)
    outputs = [
        factor * attend(operands, np.zeros(1), window_shape=(window_size,) * dilations.dim, spacing=int(h))
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
    haar_weights: HaarWeights = "in_softmax",
    scale: float | None = None,
) -> FeatureMapValues:
    """Self-attention on the dilation-translation group: over positions and over the next larger scales.

        out(i, h) = sum_a sum_{(j,b) in h N(i)} softmax_{j,b}(
                        scale q(i, a) . [k(j, b) + (rho(h^-1 (x_j - x_i)), tau[b / h])] + log mu(b / h) ) v(j, b)

    The scales a of the query and b of the key run over h, 2 h, ..., as many as tau has rows; those above the largest
    scale are left out, as positions beyond a border are. mu(t) = t^-d is the Haar weight, or 1.

    Transforms under a dilation s by a shift of scales: f(x / s, h / s) gives out(x / s, h / s), at scales whose larger
    neighbours all exist, at the positions that s maps to positions and away from the borders.

    Args:
      query, key, value: `[batch, *spatial, scale, heads, features]`.
      position_encoding: rho on the offsets of the window at scale 1; it meets the first features of the query.
      scale_encoding: tau, a row for each ratio b / h = 1, 2, 4, ...; it meets the last features of the query.
      dilations: the scales.
      window_size: the odd side of the window.
      haar_weights: how the Haar measure enters. "in_softmax": as mu, in numerator and normaliser alike; each sample of a
        neighbourhood stands for a cell of volume h^d, which is common to all of them and cancels, and the measure of the
        key scale b relative to h remains. "none": mu = 1, which is equivariant too, since only ratios of scales enter.
        "printed": mu = 1 and the output of scale h times 1 / h^(d+1), as in the paper; a softmax over a larger
        neighbourhood already sums to 1, so that these factors break equivariance.
      scale: the factor of the scores; `1 / sqrt(features)` by default.

    Returns:
      `[batch, *spatial, scale, heads, features]`.

    Raises:
      ValueError: if shapes do not fit, the window is even, or the name of the weights is unknown.

    Reference: Romero & Cordonnier (2021), Eq. 21, whose weights are "printed", and Appendix E.1, second option.
    """
    operands = DilatedOperands(query, key, value, position_encoding, scale_encoding)
    check_dilated(operands, dilations, window_size, haar_weights, HAAR_WEIGHTS, on_group=True)
    operands = operands._replace(query=scaled(query, scale))
    factors = dilations.group_weights if haar_weights == "printed" else np.ones(dilations.num_scales)
    measure = dilations.octave_weights if haar_weights == "in_softmax" else np.ones(dilations.num_scales)
    outputs = []
    for index, (h, factor) in enumerate(zip(dilations.scales, factors.tolist(), strict=True)):
        larger = slice(index, index + scale_encoding.shape[0])
        log_weights = np.log(measure[larger] / measure[index])
        query_at, key_at, value_at = (array[..., larger, :, :] for array in operands[:3])
        encodings = (position_encoding, scale_encoding[: log_weights.size])
        at_scale = DilatedOperands(query_at, key_at, value_at, *encodings)
        out = attend(at_scale, log_weights, window_shape=(window_size,) * dilations.dim, spacing=int(h))
        outputs.append(factor * out)
    return jnp.stack(outputs, axis=-3)

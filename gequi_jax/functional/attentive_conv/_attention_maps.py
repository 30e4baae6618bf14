"""Attention maps: a sigmoid of a few statistics of a signal, one value for each part of it.

There are two kinds. Maps of responses belong to one output channel and depend on the output pose: their signal is
`[batch, *spatial, out_group, in_poses, channels]`. Maps of the input belong to a whole layer: their signal is
`[batch, *spatial, in_poses, channels]`. In both `in_poses` is the order of the group for a function on G, and 1 for a
function on R^d. A map has the axes of its signal, of size 1 where it does not vary.
"""

from collections.abc import Callable, Sequence
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np

from gequi_jax._typing import Array, FeatureMap, Float, Int
from gequi_jax.actions import transform_group_kernel, transform_kernel
from gequi_jax.functional._conv import group_conv, lifting_conv, resolve_sampling
from gequi_jax.functional._maximum import maximum
from gequi_jax.functional.attentive_conv._shifts import correlate_each
from gequi_jax.groups import FiniteGroup

Responses = Float[Array, "batch *spatial out_group in_poses channels"]
# A map has the axes of its signal, of size 1 where it does not vary.
Map = Float[Array, "..."]
PoseAction = Callable[[FiniteGroup], Int[np.ndarray, "output input"]]

Statistic = Literal["mean", "max"]

_STATISTICS: dict[str, Callable[..., Array]] = {"mean": jnp.mean, "max": maximum}


def regular_action(group: FiniteGroup) -> Int[np.ndarray, "output input"]:
    """h^-1 m, the input pose m relative to the output pose h: the argument of every kernel on the group.

    Args:
      group: the group H.

    Reference: Romero et al. (2020), Eq. 17.
    """
    return group.cayley_table[group.inverses]


def channel_attention(
    responses: Responses,
    w1: Float[Array, "in_poses channels hidden"],
    w2: Float[Array, "in_poses hidden channels"],
    *,
    group: FiniteGroup,
    statistics: Sequence[Statistic] = ("mean", "max"),
    pose_action: PoseAction = regular_action,
) -> Map:
    """Channel attention of the responses of one output channel: a small network for each pair of poses.

        alpha(h, m) = sigmoid( sum_s W2(h^-1 m) relu( W1(h^-1 m) s(h, m) ) )

    over the statistics s, taken over all positions. With L_g f for f, alpha(h, m) becomes alpha(g^-1 h, g^-1 m).

    Args:
      responses: `[batch, *spatial, out_group, in_poses, channels]`.
      w1, w2: the two layers, one pair of matrices for each input pose.
      group: the group H.
      statistics: the statistics over positions, of "mean" and "max".
      pose_action: from the group to the index of the matrices that each pair (h, m) uses; h^-1 m by default. An index that
        is not a function of h^-1 m breaks equivariance.

    Returns:
      Values in [0, 1], `[batch, 1, ..., 1, out_group, in_poses, channels]`.

    Raises:
      ValueError: if a statistic is unknown or the weights do not fit the responses.

    Reference: Romero et al. (2020), Eq. 17.
    """
    # A function on R^d has one pose, which is the same relative to every h.
    on_group = responses.shape[-2] == group.order
    index = pose_action(group) if on_group else np.zeros((group.order, 1), np.int64)
    pooled = _pooled(responses, statistics, axes=tuple(range(1, 1 + group.dim)))
    return _channel_map(pooled, w1, w2, index, ("...hmc,hmcr->...hmr", "...hmr,hmrc->...hmc"))


def spatial_attention(
    responses: Responses,
    kernel: Float[Array, "*window in_poses statistics"],
    *,
    group: FiniteGroup,
    kernel_dilation: int = 1,
    statistics: Sequence[Statistic] = ("mean", "max"),
) -> Map:
    """Spatial attention of the responses of one output channel: a convolution of statistics, for each pair of poses.

        alpha(x, h, m) = sigmoid( sum_s sum_y s(y, h, m) psi_s(h^-1 (y - x), h^-1 m) )

    over the statistics s, taken over all channels. It is a group convolution without its sum over the input pose m.
    With L_g f for f, alpha(x, h, m) becomes alpha(g^-1 x, g^-1 h, g^-1 m).

    Args:
      responses: `[batch, *spatial, out_group, in_poses, channels]`.
      kernel: the filter psi, of odd side.
      group: the group H.
      kernel_dilation: the step between neighbouring kernel entries.
      statistics: the statistics over channels, of "mean" and "max".

    Returns:
      Values in [0, 1], `[batch, *spatial, out_group, in_poses, 1]`.

    Raises:
      ValueError: if a statistic is unknown, or the kernel is even or does not fit the responses.

    Reference: Romero et al. (2020), Eq. 18.
    """
    poses = responses.shape[-2]
    _check_kernel(kernel, group, poses, len(statistics))
    pooled = jnp.concatenate(_pooled(responses, statistics, axes=-1), axis=-1)
    if poses == group.order:
        bank = transform_group_kernel(kernel[..., None], group=group)
    else:
        bank = transform_kernel(kernel[..., 0, :, None], group=group)[..., None, :, :]
    filters = jnp.moveaxis(bank[..., 0], 0, group.dim)  # [*window, out_group, in_poses, statistics]
    sampling = resolve_sampling(pooled, filters, group, kernel_dilation=kernel_dilation)
    scores = correlate_each(pooled, filters, sampling)
    return jax.nn.sigmoid(scores.sum(axis=-1, keepdims=True))


def input_channel_attention(
    x: FeatureMap,
    w1: Float[Array, "in_poses channels hidden"],
    w2: Float[Array, "in_poses hidden channels"],
    *,
    group: FiniteGroup,
    statistics: Sequence[Statistic] = ("mean", "max"),
) -> Map:
    """Channel attention of an input: two group convolutions on H of statistics over all positions.

        alpha(h) = sigmoid( sum_s sum_m W2(h^-1 m) relu( sum_n W1(m^-1 n) s(n) ) )

    With L_g f for f, alpha(h) becomes alpha(g^-1 h). With the trivial group and the mean alone this is
    squeeze-and-excitation; with mean and maximum, the channel attention of CBAM.

    Args:
      x: `[batch, *spatial, in_poses, channels]`.
      w1, w2: the two layers, one pair of matrices for each pose.
      group: the group H.
      statistics: the statistics over positions, of "mean" and "max".

    Returns:
      Values in [0, 1], `[batch, 1, ..., 1, in_poses, channels]`.

    Raises:
      ValueError: if a statistic is unknown or the weights do not fit the input.

    Reference: Romero et al. (2020), Eqs. 17 and 20, section 3.4.
    """
    index = regular_action(group) if x.shape[-2] == group.order else np.zeros((1, 1), np.int64)
    pooled = _pooled(x, statistics, axes=tuple(range(1, 1 + group.dim)))
    return _channel_map(pooled, w1, w2, index, ("...mc,hmcr->...hr", "...mr,hmrc->...hc"))


def input_spatial_attention(
    x: FeatureMap,
    kernel: Float[Array, "*window in_poses statistics"],
    *,
    group: FiniteGroup,
    kernel_dilation: int = 1,
    statistics: Sequence[Statistic] = ("mean", "max"),
) -> Map:
    """Spatial attention of an input: a group convolution of statistics over its channels.

        alpha(x, h) = sigmoid( sum_m sum_s sum_y s(y, m) psi_s(h^-1 (y - x), h^-1 m) )

    On an image, a lifting convolution whose maximum over h is taken. With L_g f for f, alpha becomes L_g alpha. With the
    trivial group this is the spatial attention of CBAM.

    Args:
      x: `[batch, *spatial, in_poses, channels]`.
      kernel: the filter psi, of odd side.
      group: the group H.
      kernel_dilation: the step between neighbouring kernel entries.
      statistics: the statistics over channels, of "mean" and "max".

    Returns:
      Values in [0, 1], `[batch, *spatial, in_poses, 1]`.

    Raises:
      ValueError: if a statistic is unknown, or the kernel is even or does not fit the input.

    Reference: Romero et al. (2020), Eqs. 18 and 20, section 3.4.
    """
    _check_kernel(kernel, group, x.shape[-2], len(statistics))
    pooled = jnp.concatenate(_pooled(x, statistics, axes=-1), axis=-1)
    return _convolved(pooled, kernel, group, kernel_dilation)


def input_pose_attention(x: FeatureMap, kernel: Float[Array, "in_poses channels"], *, group: FiniteGroup) -> Map:
    """Attention of an input over its poses alone: the same small group convolution on H at every position.

        alpha(x, h) = sigmoid( sum_m sum_c f_c(x, m) psi_c(h^-1 m) )

    With L_g f for f, alpha becomes L_g alpha.

    Args:
      x: `[batch, *spatial, in_poses, channels]`.
      kernel: the filter psi.
      group: the group H.

    Returns:
      Values in [0, 1], `[batch, *spatial, in_poses, 1]`.

    Raises:
      ValueError: if the kernel does not fit the input.

    Reference: Romero et al. (2020), section 3.1.2 and alpha_RH in Tab. 1.
    """
    pointwise = kernel.reshape(*(1,) * group.dim, *kernel.shape)
    _check_kernel(pointwise, group, *x.shape[-2:])
    return _convolved(x, pointwise, group, 1)


def _channel_map(
    pooled: Sequence[Array], w1: Array, w2: Array, index: Int[np.ndarray, "output input"], equations: tuple[str, str]
) -> Map:
    """The small network of channel attention, with the matrices that an index names, by one equation for each layer."""
    _check_layers(w1, w2, *pooled[0].shape[-2:])
    w1, w2 = jnp.take(w1, index, axis=0), jnp.take(w2, index, axis=0)
    first, second = equations
    scores = 0.0
    for statistic in pooled:
        scores = scores + jnp.einsum(second, jax.nn.relu(jnp.einsum(first, statistic, w1)), w2)
    return jax.nn.sigmoid(scores)


def _convolved(x, kernel, group, kernel_dilation):
    options = {"group": group, "kernel_dilation": kernel_dilation}
    if x.shape[-2] == group.order:
        return jax.nn.sigmoid(group_conv(x, kernel[..., None], **options))
    lifted = lifting_conv(x[..., 0, :], kernel[..., 0, :, None], **options)
    # An image has no pose, so its map must be invariant in h: the largest value over the poses is taken.
    return jax.nn.sigmoid(maximum(lifted, axis=-2, keepdims=True))


def _pooled(signal: Array, statistics: Sequence[Statistic], *, axes: int | tuple[int, ...]) -> list[Array]:
    unknown = [name for name in statistics if name not in _STATISTICS]
    if unknown or not statistics:
        raise ValueError(f"statistics: expected some of {sorted(_STATISTICS)}; got {tuple(statistics)!r}.")
    return [_STATISTICS[name](signal, axis=axes, keepdims=True) for name in statistics]


def _check_layers(w1, w2, poses: int, channels: int):
    hidden = w1.shape[-1]
    if w1.shape != (poses, channels, hidden) or w2.shape != (poses, hidden, channels) or hidden == 0:
        raise ValueError(
            f"w1, w2: expected [in_poses, channels, hidden] = [{poses}, {channels}, ...] and its transpose "
            f"[in_poses, hidden, channels], with at least one hidden unit; got shapes {w1.shape} and {w2.shape}."
        )


def _check_kernel(kernel, group: FiniteGroup, poses: int, statistics: int):
    window_shape = kernel.shape[:-2]
    if len(window_shape) != group.dim or kernel.shape[-2:] != (poses, statistics):
        raise ValueError(
            f"kernel: expected [*window, in_poses, statistics] with {group.dim} window axes and [..., {poses}, "
            f"{statistics}] for {group.name}; got shape {kernel.shape}."
        )
    if any(side % 2 == 0 for side in window_shape):
        raise ValueError(
            f"kernel: expected odd sides, since an attention map has the size of its signal; got window {window_shape}; use an "
            "odd window."
        )

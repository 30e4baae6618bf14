"""Normalisation whose statistics and parameters are shared by all poses, so that it commutes with the group action.

Statistics are float32 or wider, whatever the type of the computation.
"""

from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from flax.nnx.nn.dtypes import promote_dtype

from gequi_jax._checks import check_group, check_positive_integer, check_spatial_axes
from gequi_jax._typing import Array
from gequi_jax.groups import FiniteGroup
from gequi_jax.nn._dropout import make_writable


class ChannelNorm(nnx.LayerNorm):
    """Normalises the channels of every position and pose by themselves: `nnx.LayerNorm`, exact for large means.

    Args:
      num_features: channels.
      epsilon: added to the variance.
      dtype: the type of the result; inferred by default.
      param_dtype: the type of the parameters.
      reduction_axes: the axes over which statistics are taken.
      rngs: the random streams.
    """

    def __init__(
        self,
        num_features: int,
        *,
        epsilon: float = 1e-5,
        dtype: jax.typing.DTypeLike | None = None,
        param_dtype: jax.typing.DTypeLike = jnp.float32,
        reduction_axes: int | tuple[int, ...] = -1,
        rngs: nnx.Rngs,
    ):
        super().__init__(
            check_positive_integer("num_features", num_features),
            epsilon=epsilon,
            dtype=dtype,
            param_dtype=param_dtype,
            # Centred squares rather than E[f^2] - E[f]^2: the difference of large numbers is not invariant to round-off.
            use_fast_variance=False,
            reduction_axes=reduction_axes,
            feature_axes=-1,
            rngs=rngs,
        )

    def __call__(self, x: Array, *, mask: Array | None = None) -> Array:
        """Maps images or feature maps to normalised ones of the same shape."""
        # Flax promotes to float32 implicitly, which users may forbid.
        with jax.numpy_dtype_promotion("standard"):
            return super().__call__(x, mask=mask)


class LayerNorm(ChannelNorm):
    """Normalises each feature map by one mean and one variance over its positions, poses and channels.

        y(x, h, c) = scale_c (f(x, h, c) - mean f) / sqrt(var f + epsilon) + bias_c

    Equivariant: L_g on the input becomes L_g on the output, since the statistics are invariant under the group and the
    parameters depend on the channel alone.

    Args:
      num_features: channels.
      group: the group H; the statistics are taken over its axis and its `group.dim` spatial axes.
      epsilon: added to the variance.
      dtype: the type of the result; inferred by default. Statistics are float32 or wider.
      param_dtype: the type of the parameters.
      rngs: the random streams.

    Raises:
      ValueError: if `num_features` is not positive or the group is no `FiniteGroup`; when called, if the input is no
        feature map of the group's dimension.

    Reference: the normalisation of the networks in Romero & Cordonnier (2021), Fig. F.1.

    Example:
      >>> from gequi_jax.groups import cyclic_group
      >>> LayerNorm(8, group=cyclic_group(4), rngs=nnx.Rngs(0))(jnp.ones((2, 9, 9, 4, 8))).shape
      (2, 9, 9, 4, 8)
    """

    def __init__(
        self,
        num_features: int,
        *,
        group: FiniteGroup,
        epsilon: float = 1e-5,
        dtype: jax.typing.DTypeLike | None = None,
        param_dtype: jax.typing.DTypeLike = jnp.float32,
        rngs: nnx.Rngs,
    ):
        check_group(group)
        super().__init__(
            num_features,
            epsilon=epsilon,
            dtype=dtype,
            param_dtype=param_dtype,
            reduction_axes=tuple(range(-group.dim - 2, 0)),
            rngs=rngs,
        )
        self.group = group

    def __call__(self, x: Array, *, mask: Array | None = None) -> Array:
        """Maps feature maps `[batch, *spatial, group, channels]` to normalised ones of the same shape."""
        check_spatial_axes(x, self.group, other_axes=("batch", "group", "channels"))
        return super().__call__(x, mask=mask)


class BatchNorm(nnx.BatchNorm):
    """Normalises each channel by its mean and variance over the batch, all positions and all poses.

        y(x, h, c) = scale_c (f(x, h, c) - mean_c) / sqrt(var_c + epsilon) + bias_c

    Equivariant: L_g on the input becomes L_g on the output, since statistics and parameters depend on the channel alone.
    `train()` uses the statistics of the batch and records them; `eval()` uses the recorded ones.

    Args:
      num_features: channels.
      group: the group H.
      momentum: the share of the old statistics in their running mean; PyTorch's momentum is 1 minus this one.
      epsilon: added to the variance.
      dtype: the type of the result; inferred by default. Statistics are float32 or wider.
      param_dtype: the type of the parameters.
      rngs: the random streams.

    Raises:
      ValueError: if `num_features` is not positive or the group is no `FiniteGroup`; when called, if the input is
        neither an image nor a feature map of the group's dimension.

    Reference: Romero et al. (2020), Appendix B.1.

    Example:
      >>> from gequi_jax.groups import cyclic_group
      >>> BatchNorm(8, group=cyclic_group(4), rngs=nnx.Rngs(0))(jnp.ones((2, 9, 9, 4, 8))).shape
      (2, 9, 9, 4, 8)
    """

    def __init__(
        self,
        num_features: int,
        *,
        group: FiniteGroup,
        momentum: float = 0.9,
        epsilon: float = 2e-5,
        dtype: jax.typing.DTypeLike | None = None,
        param_dtype: jax.typing.DTypeLike = jnp.float32,
        rngs: nnx.Rngs,
    ):
        check_group(group)
        num_features = check_positive_integer("num_features", num_features)
        super().__init__(
            num_features,
            momentum=momentum,
            epsilon=epsilon,
            dtype=dtype,
            param_dtype=param_dtype,
            use_fast_variance=False,
            promote_dtype=_promote_all_but_statistics,
            rngs=rngs,
        )
        self.group = group
        # Flax keeps the running statistics in float32, also where the parameters are wider.
        wide = param_dtype if jnp.finfo(param_dtype).bits >= 32 else jnp.float32
        self.mean = nnx.BatchStat(jnp.zeros(num_features, wide))
        self.var = nnx.BatchStat(jnp.ones(num_features, wide))

    def __call__(self, x: Array, use_running_average: bool | None = None, *, mask: Array | None = None) -> Array:
        """Maps feature maps `[batch, *spatial, group, channels]`, or images, to normalised ones of the same shape."""
        if x.ndim != self.group.dim + 2:
            check_spatial_axes(x, self.group, other_axes=("batch", "group", "channels"))
        if not (self.use_running_average if use_running_average is None else use_running_average):
            make_writable(self, "mean", "var")
        with jax.numpy_dtype_promotion("standard"):
            return super().__call__(x, use_running_average, mask=mask)


def _promote_all_but_statistics(args: Any, /, *, dtype: Any = None, inexact: bool = True) -> Any:
    """Casts (input, mean, variance, scale, bias) to one type, except the mean and the variance."""
    x, mean, var, *parameters = args
    x, *parameters = promote_dtype((x, *parameters), dtype=dtype, inexact=inexact)
    return (x, mean, var, *parameters)

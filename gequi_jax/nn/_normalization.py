"""Normalisation whose statistics and parameters are shared by all poses, so that it commutes with the group action."""

import jax
import jax.numpy as jnp
from flax import nnx

from gequi_jax._typing import Array
from gequi_jax.groups import FiniteGroup
from gequi_jax.nn._dropout import make_writable


class LayerNorm(nnx.LayerNorm):
    """Normalises each feature map by one mean and one variance over its positions, poses and channels.

        y(x, h, c) = scale_c (f(x, h, c) - mean f) / sqrt(var f + epsilon) + bias_c

    Equivariant: the statistics are invariant under the group, and the parameters depend on the channel alone.

    Args:
      num_features: channels.
      group: the group H; its dimension tells how many spatial axes there are.
      epsilon: added to the variance.
      rngs: the random streams.

    Reference: the normalisation of the networks in Romero & Cordonnier (2021), Fig. F.1.
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
        super().__init__(
            num_features,
            epsilon=epsilon,
            dtype=dtype,
            param_dtype=param_dtype,
            # Centred squares rather than E[f^2] - E[f]^2: the difference of large numbers is not invariant to rounding.
            use_fast_variance=False,
            reduction_axes=tuple(range(-group.dim - 2, 0)),
            feature_axes=-1,
            rngs=rngs,
        )


class BatchNorm(nnx.BatchNorm):
    """Normalises each channel by its mean and variance over the batch, all positions and all poses.

        y(x, h, c) = scale_c (f(x, h, c) - mean_c) / sqrt(var_c + epsilon) + bias_c

    Equivariant: statistics and parameters depend on the channel alone. `train()` uses and records the statistics of the
    batch, `eval()` uses the recorded ones.

    Args:
      num_features: channels.
      momentum: the share of the old statistics in their running mean; PyTorch's momentum is 1 minus this one.
      epsilon: added to the variance.
      rngs: the random streams.

    Reference: Romero et al. (2020), Appendix B.1.
    """

    def __init__(
        self,
        num_features: int,
        *,
        momentum: float = 0.9,
        epsilon: float = 2e-5,
        dtype: jax.typing.DTypeLike | None = None,
        param_dtype: jax.typing.DTypeLike = jnp.float32,
        rngs: nnx.Rngs,
    ):
        super().__init__(
            num_features,
            momentum=momentum,
            epsilon=epsilon,
            dtype=dtype,
            param_dtype=param_dtype,
            use_fast_variance=False,
            rngs=rngs,
        )
        # Flax keeps the running statistics in float32 whatever the type of the parameters.
        statistics_dtype = jnp.promote_types(param_dtype, jnp.float32)
        self.mean = nnx.BatchStat(jnp.zeros(num_features, statistics_dtype))
        self.var = nnx.BatchStat(jnp.ones(num_features, statistics_dtype))

    def __call__(self, x: Array) -> Array:
        """Maps images or feature maps to normalised ones of the same shape."""
        if not self.use_running_average:
            make_writable(self, "mean", "var")
        return super().__call__(x)

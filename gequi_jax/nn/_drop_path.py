"""What regularises and scales the branches of deep residual networks."""

import jax
import jax.numpy as jnp
from flax import nnx
from flax.nnx.nn.dtypes import promote_dtype

from gequi_jax._checks import check_positive_integer
from gequi_jax._typing import Array
from gequi_jax.nn._dropout import Dropout


class DropPath(Dropout):
    """Drops the whole branch of a random sample in training and scales the others: stochastic depth.

        y_n = x_n m_n / (1 - rate),  m_n ~ Bernoulli(1 - rate) for each sample n

    Equivariant also for each single draw, since a sample is kept or dropped as a whole.

    Args:
      rate: the probability that a branch is dropped.
      deterministic: no dropping; `train()` and `eval()` of any module around this one set it.
      rng_collection: the random stream that is used.
      rngs: the random streams; None is enough where the rate is 0.

    Reference: Huang et al. (2016), Deep Networks with Stochastic Depth.
    """

    def __call__(
        self,
        inputs: Array,
        *,
        deterministic: bool | None = None,
        rngs: nnx.Rngs | nnx.RngStream | jax.Array | None = None,
    ) -> Array:
        """Maps `[batch, ...]` to the same shape; the arguments override those of the constructor."""
        if self.rate == 0.0 or (self.deterministic if deterministic is None else deterministic):
            return inputs
        ones = jnp.ones((inputs.shape[0], *(1,) * (inputs.ndim - 1)), inputs.dtype)
        return inputs * super().__call__(ones, deterministic=deterministic, rngs=rngs)


class LayerScale(nnx.Module):
    """Multiplies each channel by a learned factor that starts small: a deep network starts near the identity.

        y(x, h, c) = scale_c f(x, h, c)

    Equivariant: the factors depend on the channel alone.

    Args:
      num_features: channels.
      initial_scale: where all factors start.
      dtype: the type of the result; inferred by default.
      param_dtype: the type of the parameters.

    Reference: Touvron et al. (2021), Going Deeper with Image Transformers.
    """

    def __init__(
        self,
        num_features: int,
        *,
        initial_scale: float = 1e-4,
        dtype: jax.typing.DTypeLike | None = None,
        param_dtype: jax.typing.DTypeLike = jnp.float32,
    ):
        self.num_features = check_positive_integer("num_features", num_features)
        self.dtype = dtype
        self.scale = nnx.Param(jnp.full((self.num_features,), initial_scale, param_dtype))

    def __call__(self, x: Array) -> Array:
        """Maps `[..., channels]` to the same shape."""
        x, scale = promote_dtype((x, self.scale[...]), dtype=self.dtype)
        return x * scale.reshape((1,) * (x.ndim - 1) + (-1,))

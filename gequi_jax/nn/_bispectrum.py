"""The readout by bispectrum."""

import jax
import jax.numpy as jnp
from flax import nnx

from gequi_jax import functional
from gequi_jax._checks import check_channels, check_group, check_positive_integer
from gequi_jax._typing import Array, Float
from gequi_jax.groups import FiniteGroup
from gequi_jax.nn._position_encoding import float32_or_wider


class BispectrumReadout(nnx.Module):
    """A linear map of the bispectrum of every channel.

        y = W B(f) / (mean_h f(h)^2 + epsilon) + bias,  one quotient for each channel

    Invariant: L_g on the input does not change the output. B is of third degree, and the quotient of first degree, so that
    logits grow as the features do. Unlike the maximum or the mean over poses it keeps how the poses are arranged.

    Args:
      in_features: channels of the input, for each pose.
      out_features: the number of outputs.
      group: the group H.
      epsilon: added to the mean square.
      dtype: the type of the result; inferred by default. Invariants are float32 or wider.
      param_dtype: the type of the parameters.
      precision: of the linear map, as in `jax.lax.dot_general`.
      rngs: the random streams.

    Raises:
      ValueError: if sizes are not positive, or `group` is not a group.

    Reference: Sanborn & Miolane (2023), A General Framework for Robust G-Invariance in G-Equivariant Networks.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        group: FiniteGroup,
        epsilon: float = 1e-6,
        dtype: jax.typing.DTypeLike | None = None,
        param_dtype: jax.typing.DTypeLike = jnp.float32,
        precision: jax.lax.PrecisionLike = None,
        rngs: nnx.Rngs,
    ):
        check_group(group)
        self.group = group
        self.in_features = check_positive_integer("in_features", in_features)
        self.epsilon = epsilon
        inputs = self.in_features * functional.num_invariants(group)
        types = {"dtype": dtype, "param_dtype": param_dtype, "precision": precision, "rngs": rngs}
        self.linear = nnx.Linear(inputs, check_positive_integer("out_features", out_features), **types)

    def __call__(self, x: Float[Array, "*batch group in_features"]) -> Float[Array, "*batch out_features"]:
        """Maps functions of the pose `[..., group, in_features]` to `[..., out_features]`."""
        check_channels(type(self).__name__, x, self.in_features)
        wide = x.astype(float32_or_wider(x.dtype))
        size = jnp.square(wide).mean(axis=-2, keepdims=True) + self.epsilon
        invariants = functional.bispectrum(wide, group=self.group) / size
        return self.linear(invariants.reshape(*x.shape[:-2], -1).astype(x.dtype))

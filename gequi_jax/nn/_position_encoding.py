"""Positional encodings: continuous functions of relative coordinates, as modules behind one interface.

An encoding is built as `encoding(features, dim=, rngs=)`, maps coordinates `[..., dim]` to features
`[..., encoding.features]`, and may yield fewer features than asked for: the rest of the query then meets content only.
"""

import jax
import jax.numpy as jnp
from flax import nnx

from gequi_jax._typing import Array, Float


class CoordinateMLP(nnx.Module):
    """A small network on each coordinate by itself; the features of all coordinates are concatenated.

        rho(x) = [rho_1(x_1), ..., rho_d(x_d)],  rho_e(t) = W_2 swish(LayerNorm(W_1 t + b_1)) + b_2

    It sees coordinates that the group has already moved, so it needs no symmetry of its own.

    Args:
      features: the number of features to fill, divided among the coordinates; a remainder stays empty.
      dim: the number of coordinates d.
      hidden_features: the width of W_1.
      epsilon: added to the variance inside the normalisation. The published code has 1e-12, which makes the encoding a
        function of the sign of t alone while b_1 is 0.
      param_dtype: the type of the parameters.
      kernel_init: initialiser of W_1 and W_2.
      rngs: the random streams.

    Raises:
      ValueError: if there are fewer features than coordinates.

    Reference: the positional encoding of the code published with Romero & Cordonnier (2021).
    """

    def __init__(
        self,
        features: int,
        *,
        dim: int,
        hidden_features: int = 16,
        epsilon: float = 1e-12,
        param_dtype: jax.typing.DTypeLike = jnp.float32,
        kernel_init: nnx.Initializer = nnx.initializers.lecun_normal(),
        rngs: nnx.Rngs,
    ):
        if features < dim:
            raise ValueError(
                f"features: expected at least one for each of the {dim} coordinates; got {features}. "
                "Give the layer more qkv_features."
            )
        options = {"param_dtype": param_dtype, "rngs": rngs}
        self.features = features // dim * dim
        self.coordinates = nnx.List(
            nnx.Sequential(
                nnx.Linear(1, hidden_features, kernel_init=kernel_init, **options),
                nnx.LayerNorm(hidden_features, epsilon=epsilon, use_fast_variance=False, **options),
                nnx.swish,
                nnx.Linear(hidden_features, features // dim, kernel_init=kernel_init, **options),
            )
            for _ in range(dim)
        )

    def __call__(self, positions: Float[Array, "*shape dim"]) -> Float[Array, "*shape features"]:
        """Encodes coordinates; those of a window run from -1 to 1."""
        return jnp.concatenate(
            [network(positions[..., axis, None]) for axis, network in enumerate(self.coordinates)], axis=-1
        )

"""Positional encodings: continuous functions of relative coordinates, as modules behind one interface.

An encoding is built as `encoding(features, dim=, dtype=, param_dtype=, precision=, kernel_init=, rngs=)`, maps
coordinates `[..., dim]` to features `[..., encoding.features]`, and may yield fewer features than requested: the
remaining features of the query then interact with the content only. It receives coordinates that the group has already
transformed, so it needs no symmetry of its own.

A layer evaluates its encoding once for a window, in float32 or wider whatever the type of the layer.
"""

import jax
import jax.numpy as jnp
from flax import nnx
from flax.nnx.nn.dtypes import promote_dtype

from gequi_jax._checks import check_non_negative_integer, check_positive_integer
from gequi_jax._typing import Array, Float
from gequi_jax.nn._normalization import ChannelNorm


class CoordinateMLP(nnx.Module):
    """A small network on each coordinate by itself; the features of all coordinates are concatenated.

        rho(x) = [rho_1(x_1), ..., rho_d(x_d)],  rho_e(t) = W_2 swish(LayerNorm(W_1 t + b_1)) + b_2

    Args:
      features: the number of features to fill, divided equally among the coordinates; a remainder stays empty.
      dim: the number of coordinates d.
      hidden_features: the width of W_1.
      epsilon: added to the variance inside the normalisation. With the published 1e-12 the encoding is a function of the
        sign of t alone while b_1 is 0, as it is at first; a larger one, or a `bias_init` other than 0, makes it smooth
        from the start.
      initial_scale: a factor on the initial W_2: attention that starts sharp instead of nearly uniform learns faster.
      dtype: the type of the computation; inferred by default.
      param_dtype: the type of the parameters.
      precision: of the linear maps, as in `jax.lax.dot_general`.
      kernel_init: initialiser of W_1 and W_2.
      bias_init: initialiser of b_1 and b_2.
      rngs: the random streams.

    Raises:
      ValueError: if a size is not positive, or there are fewer features than coordinates.

    Reference: the positional encoding of the code published with Romero & Cordonnier (2021).
    """

    def __init__(
        self,
        features: int,
        *,
        dim: int,
        hidden_features: int = 16,
        epsilon: float = 1e-12,
        initial_scale: float = 1.0,
        dtype: jax.typing.DTypeLike | None = None,
        param_dtype: jax.typing.DTypeLike = jnp.float32,
        precision: jax.lax.PrecisionLike = None,
        kernel_init: nnx.Initializer = nnx.initializers.lecun_normal(),
        bias_init: nnx.Initializer = nnx.initializers.zeros_init(),
        rngs: nnx.Rngs,
    ):
        per_coordinate = _features_per_coordinate(features, dim)
        hidden_features = check_positive_integer("hidden_features", hidden_features)
        options = {"dtype": dtype, "param_dtype": param_dtype, "rngs": rngs}
        linear = {"precision": precision, "kernel_init": kernel_init, "bias_init": bias_init, **options}

        def scaled_init(*arguments):
            return initial_scale * kernel_init(*arguments)

        self.features = per_coordinate * dim
        self.coordinates = nnx.List(
            nnx.Sequential(
                nnx.Linear(1, hidden_features, **linear),
                ChannelNorm(hidden_features, epsilon=epsilon, **options),
                _swish,
                nnx.Linear(hidden_features, per_coordinate, **{**linear, "kernel_init": scaled_init}),
            )
            for _ in range(dim)
        )

    def __call__(self, positions: Float[Array, "*shape dim"]) -> Float[Array, "*shape features"]:
        """Encodes coordinates; those of a window run from -1 to 1."""
        return jnp.concatenate(
            [network(positions[..., axis, None]) for axis, network in enumerate(self.coordinates)], axis=-1
        )


class FourierEncoding(nnx.Module):
    """Sines and cosines of learned frequencies of all coordinates together, and a linear map.

        rho(x) = W [sin(pi B x), cos(pi B x)] + b

    Infinitely differentiable at initialisation, and no sum over coordinates: it can favour an oblique direction.

    Args:
      features: the number of features.
      dim: the number of coordinates d.
      num_frequencies: the rows of B.
      bandwidth: the standard deviation of the initial B, in half periods from the centre of a window to its edge.
      dtype: the type of the computation; inferred by default.
      param_dtype: the type of the parameters.
      precision: of W, as in `jax.lax.dot_general`; the phases have the highest.
      kernel_init: initialiser of W.
      rngs: the random streams.

    Raises:
      ValueError: if a size is not positive.

    Reference: an alternative to the positional encoding of Romero & Cordonnier (2021).
    """

    def __init__(
        self,
        features: int,
        *,
        dim: int,
        num_frequencies: int = 16,
        bandwidth: float = 1.0,
        dtype: jax.typing.DTypeLike | None = None,
        param_dtype: jax.typing.DTypeLike = jnp.float32,
        precision: jax.lax.PrecisionLike = None,
        kernel_init: nnx.Initializer = nnx.initializers.lecun_normal(),
        rngs: nnx.Rngs,
    ):
        self.features = features = check_positive_integer("features", features)
        num_frequencies = check_positive_integer("num_frequencies", num_frequencies)
        self.dtype = dtype
        frequencies = nnx.initializers.normal(bandwidth)(rngs.params(), (dim, num_frequencies), param_dtype)
        self.frequencies = nnx.Param(frequencies)
        types = {"dtype": dtype, "param_dtype": param_dtype, "precision": precision}
        self.linear = nnx.Linear(2 * num_frequencies, features, kernel_init=kernel_init, rngs=rngs, **types)

    def __call__(self, positions: Float[Array, "*shape dim"]) -> Float[Array, "*shape features"]:
        """Encodes coordinates; those of a window run from -1 to 1."""
        positions, frequencies = promote_dtype((positions, self.frequencies[...]), dtype=self.dtype)
        phases = jnp.pi * jnp.matmul(positions, frequencies, precision="highest")
        return self.linear(jnp.concatenate([jnp.sin(phases), jnp.cos(phases)], axis=-1))


class CoordinateTable(nnx.Module):
    """A table of features for each coordinate, read with linear interpolation; the coordinates are concatenated.

        rho(x) = [T_1(x_1), ..., T_d(x_d)],  T_e(t) piecewise linear between size knots from -1 to 1

    At the untransformed offsets of a window of `size` positions each row is read without interpolation, as in the
    relative embedding of vision transformers. Coordinates beyond -1 and 1, such as rotated corners, read the outermost row.

    Args:
      features: the number of features to fill, divided among the coordinates; a remainder stays empty.
      dim: the number of coordinates d.
      size: the rows of each table: the side of the window, or `2 side - 1` for global attention.
      dtype: the type of the computation; inferred by default.
      param_dtype: the type of the parameters.
      precision, kernel_init: part of the interface of encodings; a table has no matrix product and no fan-in.
      table_init: initialiser of the tables.
      rngs: the random streams.

    Raises:
      ValueError: if there are fewer features than coordinates, or fewer than two rows.

    Reference: Romero & Cordonnier (2021), Eq. 11, with the tables of the published layer without a group.
    """

    def __init__(
        self,
        features: int,
        *,
        dim: int,
        size: int,
        dtype: jax.typing.DTypeLike | None = None,
        param_dtype: jax.typing.DTypeLike = jnp.float32,
        precision: jax.lax.PrecisionLike = None,
        kernel_init: nnx.Initializer | None = None,
        table_init: nnx.Initializer = nnx.initializers.normal(1.0),
        rngs: nnx.Rngs,
    ):
        del precision, kernel_init
        size = check_positive_integer("size", size)
        if size < 2:
            raise ValueError(f"size: expected at least two rows, one for each end of the window; got {size}.")
        per_coordinate = _features_per_coordinate(features, dim)
        self.features = per_coordinate * dim
        self.size = size
        self.dtype = dtype
        self.tables = nnx.List(
            nnx.Param(table_init(rngs.params(), (size, per_coordinate), param_dtype)) for _ in range(dim)
        )

    def __call__(self, positions: Float[Array, "*shape dim"]) -> Float[Array, "*shape features"]:
        """Encodes coordinates; those of a window run from -1 to 1."""
        positions, *tables = promote_dtype((positions, *(table[...] for table in self.tables)), dtype=self.dtype)
        row = (jnp.clip(positions, -1.0, 1.0) + 1.0) * ((self.size - 1) / 2)
        lower = jnp.clip(jnp.floor(row + 1e-4), 0, self.size - 2)
        # Rounding must not read a second row where the coordinate is that of a knot.
        fraction = jnp.where(jnp.abs(row - jnp.round(row)) < 1e-4, jnp.round(row) - lower, row - lower)
        index = lower.astype(jnp.int32)
        encodings = []
        for axis, table in enumerate(tables):
            weight = fraction[..., axis, None]
            below = jnp.take(table, index[..., axis], axis=0)
            above = jnp.take(table, index[..., axis] + 1, axis=0)
            encodings.append((1.0 - weight) * below + weight * above)
        return jnp.concatenate(encodings, axis=-1)


def float32_or_wider(dtype: jax.typing.DTypeLike) -> jax.typing.DTypeLike:
    """The type of an encoding inside a layer that computes in another type."""
    return dtype if jnp.finfo(dtype).bits >= 32 else jnp.float32


def _swish(x: Array) -> Array:
    # `nnx.swish` itself cannot be pickled: its module holds another object under its name.
    return nnx.swish(x)


def _features_per_coordinate(features: int, dim: int) -> int:
    features = check_non_negative_integer("features", features)
    if features < dim:
        raise ValueError(
            f"features: expected at least one for each of the {dim} coordinates; got {features}. "
            "Give the layer more qkv_features."
        )
    return features // dim

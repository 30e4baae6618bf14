"""Self-attention layers on the dilation-translation group."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from gequi_jax import functional
from gequi_jax._checks import check_choice, check_positive_integer, check_window
from gequi_jax._typing import Array, FeatureMap, Grid, OutFeatureMap
from gequi_jax.actions import window_offsets
from gequi_jax.functional import HAAR_WEIGHTS
from gequi_jax.groups import DyadicDilations
from gequi_jax.nn._heads import create_projections, features_per_head, position_features
from gequi_jax.nn._position_encoding import CoordinateMLP, float32_or_wider


class _DilationSelfAttention(nnx.Module):
    """What the two layers share: projections, positional encoding and the checks of all sizes."""

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        dilations: DyadicDilations,
        num_heads: int,
        qkv_features: int | None = None,
        window_size: int = 3,
        haar_weights: functional.HaarWeights = "in_softmax",
        position_encoding: Callable[..., nnx.Module] = CoordinateMLP,
        dtype: jax.typing.DTypeLike | None = None,
        param_dtype: jax.typing.DTypeLike = jnp.float32,
        precision: jax.lax.PrecisionLike = None,
        kernel_init: nnx.Initializer = nnx.initializers.lecun_normal(),
        rngs: nnx.Rngs,
    ):
        if not isinstance(dilations, DyadicDilations):
            raise ValueError(
                f"dilations: expected scales such as gequi_jax.groups.DyadicDilations(3); got {dilations!r}."
            )
        check_choice("haar_weights", haar_weights, HAAR_WEIGHTS)
        self.in_features = check_positive_integer("in_features", in_features)
        self.out_features = check_positive_integer("out_features", out_features)
        self.dilations = dilations
        self.num_heads = check_positive_integer("num_heads", num_heads)
        self.head_features = features_per_head(qkv_features, self.out_features, self.num_heads)
        self.qkv_features = self.num_heads * self.head_features
        self.window_size = check_window(window_size)
        self.haar_weights = haar_weights
        self.param_dtype = param_dtype
        types = {"dtype": dtype, "param_dtype": param_dtype, "precision": precision, "rngs": rngs}
        heads, projection = (self.num_heads, self.head_features), {"kernel_init": kernel_init, **types}
        self.query, self.key, self.value, self.out = create_projections(
            self.in_features, heads, self.out_features, query=projection, others=projection
        )
        types["dtype"] = None if dtype is None else float32_or_wider(dtype)
        self.position_encoding = position_encoding(
            self._position_features(), dim=dilations.dim, kernel_init=kernel_init, **types
        )

    def _position_features(self) -> int:
        """The features of a head that encode the position; the others encode the scale."""
        return self.head_features

    def _attend(self, function: Callable[..., Array], x: Array, *scale_encoding: Array) -> Array:
        if x.ndim != self.dilations.dim + 2 + len(scale_encoding) or x.shape[-1] != self.in_features:
            scale_axis = "scale, " if scale_encoding else ""
            raise ValueError(
                f"{type(self).__name__}: expected [batch, *spatial, {scale_axis}{self.in_features}] with "
                f"{self.dilations.dim} spatial axes; got shape {x.shape}."
            )
        offsets = window_offsets((self.window_size,) * self.dilations.dim) / max(self.window_size // 2, 1)
        position_encoding = self.position_encoding(jnp.asarray(np.asarray(offsets), self.param_dtype))
        query = self.query(x)
        heads = function(
            query,
            self.key(x),
            self.value(x),
            *(encoding.astype(query.dtype) for encoding in (position_encoding, *scale_encoding)),
            dilations=self.dilations,
            window_size=self.window_size,
            haar_weights=self.haar_weights,
        )
        return self.out(heads)


class LiftingDilationSelfAttention(_DilationSelfAttention):
    """Self-attention from images to feature maps on the dilation-translation group.

        out(i, h) = W_out [ sum_{j in h N(i)} softmax_j( q(i) . [k(j) + rho(h^-1 (x_j - x_i))] / sqrt(d) ) v(j) ]

    Transforms under a dilation by a shift of scales, away from the borders; see
    `gequi_jax.functional.lifting_dilation_attention`.

    Args:
      in_features: channels of the input.
      out_features: channels of the output.
      dilations: the scales.
      num_heads: the number of heads.
      qkv_features: features of queries, keys and values in total over the heads, as in Flax, so that
        d = qkv_features / num_heads; `out_features` by default.
      window_size: the odd side of the window, whose spacing is the scale.
      haar_weights: "in_softmax", "printed" or "none", as in `gequi_jax.functional.lifting_dilation_attention`.
      position_encoding: the constructor of rho, called with `features, dim=, dtype=, param_dtype=, precision=,
        kernel_init=, rngs=`.
      dtype: the type of the computation; inferred by default. The softmax and rho are float32 or wider.
      param_dtype: the type of the parameters.
      precision: of the projections and of rho, as in `jax.lax.dot_general`.
      kernel_init: initialiser of the projections.
      rngs: the random streams.

    Raises:
      ValueError: if sizes are not positive, `qkv_features` is not divisible by the number of heads, or the window is
        even; when called, if the input does not fit the dilations or `in_features`.

    Reference: Romero & Cordonnier (2021), Eq. 20.

    Example:
      >>> layer = LiftingDilationSelfAttention(1, 8, dilations=DyadicDilations(3), num_heads=2, rngs=nnx.Rngs(0))
      >>> layer(jnp.ones((2, 9, 9, 1))).shape
      (2, 9, 9, 3, 8)
    """

    def __call__(self, x: Grid) -> OutFeatureMap:
        """Maps images `[batch, *spatial, in_features]` to `[batch, *spatial, scale, out_features]`."""
        return self._attend(functional.lifting_dilation_attention, x)


class GroupDilationSelfAttention(_DilationSelfAttention):
    """Self-attention on the dilation-translation group.

        out(i, h) = W_out [ sum_a sum_{(j,b) in h N(i)} softmax_{j,b}(
                        q(i, a) . [k(j, b) + (rho(h^-1 (x_j - x_i)), tau[b / h])] / sqrt(d) + log mu(b / h) ) v(j, b) ]

    Transforms under a dilation by a shift of scales, away from the borders and from the largest scale; see
    `gequi_jax.functional.group_dilation_attention`.

    Args:
      in_features: channels of the input.
      out_features: channels of the output.
      dilations: the scales.
      num_heads: the number of heads.
      qkv_features: features of queries, keys and values in total over the heads, as in Flax, so that
        d = qkv_features / num_heads; `out_features` by default.
      window_size: the odd side of the window, whose spacing is the scale.
      scale_window: the number of scales that an output attends to, its own and the next larger ones.
      haar_weights: "in_softmax", "printed" or "none", as in `gequi_jax.functional.group_dilation_attention`.
      position_encoding: the constructor of rho, called with `features, dim=, dtype=, param_dtype=, precision=,
        kernel_init=, rngs=`.
      dtype: the type of the computation; inferred by default. The softmax and rho are float32 or wider.
      param_dtype: the type of the parameters.
      precision: of the projections and of rho, as in `jax.lax.dot_general`.
      kernel_init: initialiser of the projections.
      scale_init: initialiser of tau, `[scale_window, features]`.
      rngs: the random streams.

    Raises:
      ValueError: if sizes are not positive, `qkv_features` is not divisible by the number of heads, the window is even,
        or `scale_window` exceeds the number of scales; when called, if the input does not fit the dilations or
        `in_features`.

    Reference: Romero & Cordonnier (2021), Eq. 21.

    Example:
      >>> layer = GroupDilationSelfAttention(8, 8, dilations=DyadicDilations(3), num_heads=2, rngs=nnx.Rngs(0))
      >>> layer(jnp.ones((2, 9, 9, 3, 8))).shape
      (2, 9, 9, 3, 8)
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        dilations: DyadicDilations,
        num_heads: int,
        qkv_features: int | None = None,
        window_size: int = 3,
        scale_window: int = 2,
        haar_weights: functional.HaarWeights = "in_softmax",
        position_encoding: Callable[..., nnx.Module] = CoordinateMLP,
        dtype: jax.typing.DTypeLike | None = None,
        param_dtype: jax.typing.DTypeLike = jnp.float32,
        precision: jax.lax.PrecisionLike = None,
        kernel_init: nnx.Initializer = nnx.initializers.lecun_normal(),
        scale_init: nnx.Initializer = nnx.initializers.normal(1.0),
        rngs: nnx.Rngs,
    ):
        super().__init__(
            in_features,
            out_features,
            dilations=dilations,
            num_heads=num_heads,
            qkv_features=qkv_features,
            window_size=window_size,
            haar_weights=haar_weights,
            position_encoding=position_encoding,
            dtype=dtype,
            param_dtype=param_dtype,
            precision=precision,
            kernel_init=kernel_init,
            rngs=rngs,
        )
        scale_window = check_positive_integer("scale_window", scale_window)
        if scale_window > dilations.num_scales:
            raise ValueError(f"scale_window: expected 1 to {dilations.num_scales} scales; got {scale_window!r}.")
        features = self.head_features - self._position_features()
        self.scale_encoding = nnx.Param(scale_init(rngs.params(), (scale_window, features), param_dtype))

    def _position_features(self) -> int:
        return position_features(self.head_features, self.dilations.dim)

    def __call__(self, x: FeatureMap) -> OutFeatureMap:
        """Maps `[batch, *spatial, scale, in_features]` to `[batch, *spatial, scale, out_features]`."""
        return self._attend(functional.group_dilation_attention, x, self.scale_encoding[...])

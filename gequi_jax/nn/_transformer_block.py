"""The block of an equivariant transformer: attention by frames, and a pointwise network that mixes the frames."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from flax import nnx

from gequi_jax._checks import check_group, check_positive_integer, check_rate
from gequi_jax._typing import Array, FeatureMap, Float
from gequi_jax.groups import FiniteGroup
from gequi_jax.nn._drop_path import DropPath, LayerScale
from gequi_jax.nn._dropout import Dropout
from gequi_jax.nn._frame_attention import FrameSelfAttention
from gequi_jax.nn._group_linear import GroupLinear
from gequi_jax.nn._normalization import ChannelNorm

Registers = Float[Array, "batch registers group channels"]


class GroupMLP(nnx.Module):
    """Two linear maps of all poses and channels with a nonlinearity of every pose and channel between them.

        y = W_2 dropout(gelu(W_1 x))

    Equivariant: L_g on the input becomes L_g on the output. W_1 and W_2 commute with the group, and the nonlinearity acts on
    the values of the poses, which the group only permutes. It would not be equivariant in the Fourier basis.

    Args:
      features: channels of the input and the output, for each pose.
      hidden_features: channels between the two maps, for each pose.
      group: the group H.
      dropout_rate: dropout between the two maps.
      dtype: the type of the computation; inferred by default.
      param_dtype: the type of the parameters.
      precision: of the linear maps, as in `jax.lax.dot_general`.
      kernel_init: initialiser of both maps.
      rngs: the random streams; "dropout" is used in training.

    Raises:
      ValueError: if sizes are not positive, `group` is not a group, or the rate is not in [0, 1).
    """

    def __init__(
        self,
        features: int,
        hidden_features: int,
        *,
        group: FiniteGroup,
        dropout_rate: float = 0.0,
        dtype: jax.typing.DTypeLike | None = None,
        param_dtype: jax.typing.DTypeLike = jnp.float32,
        precision: jax.lax.PrecisionLike = None,
        kernel_init: nnx.Initializer = nnx.initializers.lecun_normal(),
        rngs: nnx.Rngs,
    ):
        types = {"dtype": dtype, "param_dtype": param_dtype, "precision": precision, "rngs": rngs}
        self.expand = GroupLinear(features, hidden_features, group=group, kernel_init=kernel_init, **types)
        self.dropout = Dropout(check_rate("dropout_rate", dropout_rate), rngs=rngs)
        self.project = GroupLinear(hidden_features, features, group=group, kernel_init=kernel_init, **types)

    def __call__(self, x: Float[Array, "*batch group features"]) -> Float[Array, "*batch group features"]:
        """Maps `[..., group, features]` to the same shape."""
        return self.project(self.dropout(nnx.gelu(self.expand(x))))


class TransformerBlock(nnx.Module):
    """Attention and a pointwise network, each normalised at its input and added to it.

        y = x + dp(ls_1 attention(LN(x)))
        out = y + dp(ls_2 mlp(LN(y)))

    LN normalises the poses and channels of every position by one mean and one variance; dp is stochastic depth and ls a
    learned factor for each channel. Equivariant, L_g on the input becomes L_g on the output. Registers, tokens without a
    position, attend and are attended to as all positions are.

    Args:
      features: channels of the input and the output, for each pose.
      group: the group H.
      attention: the constructor of the attention layer, called with `features, features, group=, dtype=, param_dtype=,
        precision=, kernel_init=, rngs=`.
      mlp_ratio: the width of the pointwise network relative to `features`.
      dropout_rate: dropout in the pointwise network.
      drop_path_rate: the probability that a branch of a sample is dropped.
      initial_layer_scale: where the factors ls start; None for no factors.
      epsilon: of the norms.
      dtype: the type of the computation; inferred by default. Softmax and norms use float32 or wider.
      param_dtype: the type of the parameters.
      precision: of the linear maps, as in `jax.lax.dot_general`.
      kernel_init: initialiser of the linear maps.
      rngs: the random streams; "dropout" is used in training.

    Raises:
      ValueError: if sizes are not positive or rates are not in [0, 1).

    Reference: Dosovitskiy et al. (2021); Islam et al. (2025), Platonic Transformers.
    """

    def __init__(
        self,
        features: int,
        *,
        group: FiniteGroup,
        attention: Callable[..., nnx.Module] = FrameSelfAttention,
        mlp_ratio: float = 4.0,
        dropout_rate: float = 0.0,
        drop_path_rate: float = 0.0,
        initial_layer_scale: float | None = None,
        epsilon: float = 1e-6,
        dtype: jax.typing.DTypeLike | None = None,
        param_dtype: jax.typing.DTypeLike = jnp.float32,
        precision: jax.lax.PrecisionLike = None,
        kernel_init: nnx.Initializer = nnx.initializers.lecun_normal(),
        rngs: nnx.Rngs,
    ):
        check_group(group)
        self.group = group
        self.out_features = features = check_positive_integer("features", features)
        hidden = check_positive_integer("mlp_ratio * features", round(mlp_ratio * features))
        types = {"dtype": dtype, "param_dtype": param_dtype}
        linear = {"group": group, "precision": precision, "kernel_init": kernel_init, "rngs": rngs, **types}
        norm = {"epsilon": epsilon, "reduction_axes": (-2, -1), "rngs": rngs, **types}
        self.norm_attention = ChannelNorm(features, **norm)
        self.attention = attention(features, features, **linear)
        self.norm_mlp = ChannelNorm(features, **norm)
        self.mlp = GroupMLP(features, hidden, dropout_rate=dropout_rate, **linear)
        self.drop_path = DropPath(check_rate("drop_path_rate", drop_path_rate), rngs=rngs)
        scales = (
            (None, None)
            if initial_layer_scale is None
            else tuple(LayerScale(features, initial_scale=initial_layer_scale, **types) for _ in range(2))
        )
        self.scale_attention, self.scale_mlp = (nnx.data(scale) for scale in scales)

    def __call__(self, x: FeatureMap, registers: Registers | None = None) -> Array | tuple[Array, Array]:
        """Maps `[batch, *spatial, group, features]`, and registers if there are any, to the same shapes."""
        tokens = (x,) if registers is None else (x, registers)
        attended = self.attention(*map(self.norm_attention, tokens))
        attended = (attended,) if registers is None else attended
        tokens = [token + self._branch(y, self.scale_attention) for token, y in zip(tokens, attended, strict=True)]
        tokens = [token + self._branch(self.mlp(self.norm_mlp(token)), self.scale_mlp) for token in tokens]
        return tokens[0] if registers is None else (tokens[0], tokens[1])

    def _branch(self, y: Array, scale: LayerScale | None) -> Array:
        return self.drop_path(y if scale is None else scale(y))

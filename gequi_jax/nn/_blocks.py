"""Blocks of attention and a pointwise network: the one of GSA-Nets, and one that is easier to train."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from flax import nnx

from gequi_jax._typing import FeatureMap, OutFeatureMap
from gequi_jax.groups import FiniteGroup
from gequi_jax.nn._normalization import LayerNorm


class GroupSelfAttentionBlock(nnx.Module):
    """Attention and a pointwise network, each on a residual branch.

        a = swish(LN(attention(swish(LN(x)))))
        y = W_s crop(x) + crop(dropout(a))
        out = y + LN(W_2 swish(LN(W_1 y)))

    The shortcut W_s is the identity where the channels do not change. Equivariant: attention is, norms share their
    statistics over the group, crops are alike on every side, and all else is pointwise.

    Args:
      in_features: channels of the input.
      out_features: channels of the output.
      attention: the constructor of the attention layer, called with `in_features, out_features, group=, rngs=`.
      group: the group H.
      hidden_features: the width of W_1; half of `out_features` by default.
      crop: positions removed on every side after attention, as an unpadded convolution would.
      dropout_rate: dropout on the attention branch.
      epsilon: of the norms.
      param_dtype: the type of the parameters.
      kernel_init: initialiser of W_s, W_1 and W_2.
      rngs: the random streams.

    Raises:
      ValueError: when called, if the crop leaves nothing of the map.

    Reference: Romero & Cordonnier (2021), Fig. F.1.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        attention: Callable[..., nnx.Module],
        group: FiniteGroup,
        hidden_features: int | None = None,
        crop: int = 0,
        dropout_rate: float = 0.0,
        epsilon: float = 1e-5,
        param_dtype: jax.typing.DTypeLike = jnp.float32,
        kernel_init: nnx.Initializer = nnx.initializers.lecun_normal(),
        rngs: nnx.Rngs,
    ):
        hidden = max(1, out_features // 2) if hidden_features is None else hidden_features
        norm = {"group": group, "epsilon": epsilon, "param_dtype": param_dtype, "rngs": rngs}
        linear = {"param_dtype": param_dtype, "kernel_init": kernel_init, "rngs": rngs}
        self.group = group
        self.crop = crop
        self.norm_in = LayerNorm(in_features, **norm)
        self.attention = attention(in_features, out_features, group=group, rngs=rngs)
        self.norm_out = LayerNorm(out_features, **norm)
        self.dropout = nnx.Dropout(dropout_rate, rngs=rngs)
        same = in_features == out_features
        self.shortcut = nnx.data(None) if same else nnx.Linear(in_features, out_features, **linear)
        self.expand = nnx.Linear(out_features, hidden, **linear)
        self.norm_hidden = LayerNorm(hidden, **norm)
        self.project = nnx.Linear(hidden, out_features, **linear)
        self.norm_project = LayerNorm(out_features, **norm)

    def __call__(self, x: FeatureMap) -> OutFeatureMap:
        """Maps `[batch, *spatial, group, in_features]` to `out_features` channels, less the crop on every side."""
        branch = self.attention(nnx.swish(self.norm_in(x)))
        branch = self.dropout(nnx.swish(self.norm_out(branch)))
        x, branch = (cropped(part, self.crop, dim=self.group.dim) for part in (x, branch))
        y = branch + (x if self.shortcut is None else self.shortcut(x))
        return y + self.norm_project(self.project(nnx.swish(self.norm_hidden(self.expand(y)))))


class PreNormSelfAttentionBlock(nnx.Module):
    """Attention and a pointwise network, each normalised before and added after.

        y = crop(x + dropout(attention(LN(x))))
        out = y + W_2 swish(W_1 LN(y))

    LN normalises the channels of every position and pose by themselves. Nothing stands between the input and the output
    but sums, so that it trains in far fewer steps than `GroupSelfAttentionBlock`. Equivariant: attention is, crops are
    alike on every side, and all else is pointwise.

    The arguments are those of `GroupSelfAttentionBlock`, but that the channels do not change and `hidden_features` is
    twice their number by default.

    Raises:
      ValueError: if the channels change, and when called, if the crop leaves nothing of the map.

    Reference: departs from Romero & Cordonnier (2021), Fig. F.1, in the norms; the order is that of Xiong et al. (2020).
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        attention: Callable[..., nnx.Module],
        group: FiniteGroup,
        hidden_features: int | None = None,
        crop: int = 0,
        dropout_rate: float = 0.0,
        epsilon: float = 1e-5,
        param_dtype: jax.typing.DTypeLike = jnp.float32,
        kernel_init: nnx.Initializer = nnx.initializers.lecun_normal(),
        rngs: nnx.Rngs,
    ):
        if in_features != out_features:
            raise ValueError(
                f"out_features: this block keeps its {in_features} channels; got {out_features}. "
                "GroupSelfAttentionBlock can change them."
            )
        hidden = 2 * out_features if hidden_features is None else hidden_features
        norm = {"epsilon": epsilon, "use_fast_variance": False, "param_dtype": param_dtype, "rngs": rngs}
        linear = {"param_dtype": param_dtype, "kernel_init": kernel_init, "rngs": rngs}
        self.group = group
        self.crop = crop
        self.norm_attention = nnx.LayerNorm(in_features, **norm)
        self.attention = attention(in_features, out_features, group=group, rngs=rngs)
        self.dropout = nnx.Dropout(dropout_rate, rngs=rngs)
        self.norm_expand = nnx.LayerNorm(out_features, **norm)
        self.expand = nnx.Linear(out_features, hidden, **linear)
        self.project = nnx.Linear(hidden, out_features, **linear)

    def __call__(self, x: FeatureMap) -> OutFeatureMap:
        """Maps `[batch, *spatial, group, features]` to the same, less the crop on every side."""
        y = cropped(x + self.dropout(self.attention(self.norm_attention(x))), self.crop, dim=self.group.dim)
        return y + self.project(nnx.swish(self.expand(self.norm_expand(y))))


def cropped(x: FeatureMap, crop: int, *, dim: int) -> OutFeatureMap:
    """A map without its outermost positions on every side.

    Raises:
      ValueError: if nothing would be left.
    """
    spatial_shape = x.shape[1 : 1 + dim]
    if 2 * crop >= min(spatial_shape):
        raise ValueError(
            f"crop: removing {crop} positions on every side leaves nothing of a map of shape {spatial_shape}; "
            f"use at most {(min(spatial_shape) - 1) // 2}."
        )
    inner = tuple(slice(crop, side - crop) for side in spatial_shape)
    return x[(slice(None), *inner)]

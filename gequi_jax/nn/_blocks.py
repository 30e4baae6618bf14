"""Blocks of attention and a pointwise network: the one of GSA-Nets, and a pre-norm variant that trains faster."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from gequi_jax._checks import check_group, check_non_negative_integer, check_positive_integer, check_rate
from gequi_jax._typing import FeatureMap, OutFeatureMap
from gequi_jax.groups import FiniteGroup
from gequi_jax.nn._dropout import Dropout
from gequi_jax.nn._normalization import ChannelNorm, LayerNorm


class _SelfAttentionBlock(nnx.Module):
    """What the two blocks share: their arguments, with the checks, and the constructors of their layers."""

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
        dtype: jax.typing.DTypeLike | None = None,
        param_dtype: jax.typing.DTypeLike = jnp.float32,
        precision: jax.lax.PrecisionLike = None,
        kernel_init: nnx.Initializer = nnx.initializers.lecun_normal(),
        rngs: nnx.Rngs,
    ):
        check_group(group)
        in_features = check_positive_integer("in_features", in_features)
        out_features = check_positive_integer("out_features", out_features)
        hidden = self._default_width(out_features) if hidden_features is None else hidden_features
        types = {"dtype": dtype, "param_dtype": param_dtype, "rngs": rngs}
        self.group = group
        self.crop = check_non_negative_integer("crop", crop)
        self.dtype = dtype
        self._create_layers(
            in_features,
            out_features,
            check_positive_integer("hidden_features", hidden),
            attention=functools.partial(attention, group=group, precision=precision, **types),
            dropout=functools.partial(Dropout, check_rate("dropout_rate", dropout_rate), rngs=rngs),
            linear=functools.partial(nnx.Linear, precision=precision, kernel_init=kernel_init, **types),
            norm={"epsilon": epsilon, **types},
        )

    def _default_width(self, out_features: int) -> int:
        raise NotImplementedError

    def _create_layers(
        self,
        in_features: int,
        out_features: int,
        hidden: int,
        *,
        attention: Callable[..., nnx.Module],
        dropout: Callable[[], Dropout],
        linear: Callable[[int, int], nnx.Linear],
        norm: dict[str, Any],
    ) -> None:
        """Sets the layers, in the order in which they draw their parameters."""
        raise NotImplementedError


class GroupSelfAttentionBlock(_SelfAttentionBlock):
    """Attention and a pointwise network, each on a residual branch.

        a = swish(LN(attention(swish(LN(x)))))
        y = W_s crop(x) + crop(dropout(a))
        out = y + LN(W_2 swish(LN(W_1 y)))

    The shortcut W_s is the identity if the number of channels does not change. Equivariant, L_g on the input becomes L_g
    on the output: attention is equivariant, norms share their statistics over the group, a crop removes the same number
    of positions on every side, and all other operations are pointwise.

    Args:
      in_features: channels of the input.
      out_features: channels of the output.
      attention: the constructor of the attention layer, called with `in_features, out_features, group=, dtype=,
        param_dtype=, precision=, rngs=`.
      group: the group H.
      hidden_features: the width of W_1; half of `out_features` by default.
      crop: positions removed on every side after attention, as an unpadded convolution would.
      dropout_rate: dropout on the attention branch.
      epsilon: of the norms.
      dtype: the type of the computation; inferred by default. Softmax and norms use float32 or wider.
      param_dtype: the type of the parameters.
      precision: of the linear maps, as in `jax.lax.dot_general`.
      kernel_init: initialiser of W_s, W_1 and W_2.
      rngs: the random streams; "dropout" is used in training.

    Raises:
      ValueError: if a size is not positive or the dropout rate not in [0, 1); when called, if nothing remains of the map
        after the crop.

    Reference: Romero & Cordonnier (2021), Fig. F.1.

    Example:
      >>> import functools
      >>> from gequi_jax.groups import cyclic_group
      >>> from gequi_jax.nn import GroupSelfAttention
      >>> attention = functools.partial(GroupSelfAttention, num_heads=2, window_size=3)
      >>> block = GroupSelfAttentionBlock(8, 12, attention=attention, group=cyclic_group(4), crop=1, rngs=nnx.Rngs(0))
      >>> block(jnp.ones((2, 6, 6, 4, 8))).shape
      (2, 4, 4, 4, 12)
    """

    def _default_width(self, out_features: int) -> int:
        return max(1, out_features // 2)

    def _create_layers(self, in_features, out_features, hidden, *, attention, dropout, linear, norm) -> None:
        layer_norm = functools.partial(LayerNorm, group=self.group, **norm)
        self.norm_in = layer_norm(in_features)
        self.attention = attention(in_features, out_features)
        self.norm_out = layer_norm(out_features)
        self.dropout = dropout()
        same = in_features == out_features
        self.shortcut = nnx.data(None) if same else linear(in_features, out_features)
        self.expand = linear(out_features, hidden)
        self.norm_hidden = layer_norm(hidden)
        self.project = linear(hidden, out_features)
        self.norm_project = layer_norm(out_features)

    def __call__(self, x: FeatureMap) -> OutFeatureMap:
        """Maps `[batch, *spatial, group, in_features]` to `out_features` channels, cropped on every side."""
        x = x if self.dtype is None else x.astype(self.dtype)
        branch = self.attention(nnx.swish(self.norm_in(x)))
        branch = self.dropout(nnx.swish(self.norm_out(branch)))
        x, branch = (cropped(part, self.crop, dim=self.group.dim) for part in (x, branch))
        y = branch + (x if self.shortcut is None else self.shortcut(x))
        return y + self.norm_project(self.project(nnx.swish(self.norm_hidden(self.expand(y)))))


class PreNormSelfAttentionBlock(_SelfAttentionBlock):
    """Attention and a pointwise network, each normalised at its input and added to it.

        y = crop(x + dropout(attention(LN(x))))
        out = y + W_2 swish(W_1 LN(y))

    LN normalises the channels of every position and pose by themselves. The path from the input to the output contains
    only sums, so that the block trains in far fewer steps than `GroupSelfAttentionBlock`. Equivariant, L_g on the input
    becomes L_g on the output: attention is equivariant, a crop removes the same number of positions on every side, and all
    other operations are pointwise.

    Args:
      in_features: channels of the input.
      out_features: channels of the output, equal to `in_features`.
      attention: the constructor of the attention layer, called with `in_features, out_features, group=, dtype=,
        param_dtype=, precision=, rngs=`.
      group: the group H.
      hidden_features: the width of W_1; twice `out_features` by default.
      crop: positions removed on every side after attention, as an unpadded convolution would.
      dropout_rate: dropout on the attention branch.
      epsilon: of the norms.
      dtype: the type of the computation; inferred by default. Softmax and norms use float32 or wider.
      param_dtype: the type of the parameters.
      precision: of the linear maps, as in `jax.lax.dot_general`.
      kernel_init: initialiser of W_1 and W_2.
      rngs: the random streams; "dropout" is used in training.

    Raises:
      ValueError: if the number of channels changes, a size is not positive or the dropout rate not in [0, 1); when
        called, if nothing remains of the map after the crop.

    Reference: departs from Romero & Cordonnier (2021), Fig. F.1, in the norms; the order is that of Xiong et al. (2020).
    """

    def _default_width(self, out_features: int) -> int:
        return 2 * out_features

    def _create_layers(self, in_features, out_features, hidden, *, attention, dropout, linear, norm) -> None:
        if in_features != out_features:
            raise ValueError(
                f"out_features: expected the {in_features} channels of the input; got {out_features}. Use "
                "GroupSelfAttentionBlock to change their number."
            )
        self.norm_attention = ChannelNorm(in_features, **norm)
        self.attention = attention(in_features, out_features)
        self.dropout = dropout()
        self.norm_expand = ChannelNorm(out_features, **norm)
        self.expand = linear(out_features, hidden)
        self.project = linear(hidden, out_features)

    def __call__(self, x: FeatureMap) -> OutFeatureMap:
        """Maps `[batch, *spatial, group, features]` to the same shape, cropped on every side."""
        x = x if self.dtype is None else x.astype(self.dtype)
        y = cropped(x + self.dropout(self.attention(self.norm_attention(x))), self.crop, dim=self.group.dim)
        return y + self.project(nnx.swish(self.expand(self.norm_expand(y))))


def cropped(x: FeatureMap, crop: int, *, dim: int) -> OutFeatureMap:
    """A map without its outermost positions on every side.

    Raises:
      ValueError: if nothing would remain.
    """
    spatial_shape = x.shape[1 : 1 + dim]
    if 2 * crop >= min(spatial_shape):
        raise ValueError(
            f"crop: removing {crop} positions on every side leaves nothing of a map of shape {spatial_shape}; "
            f"use at most {(min(spatial_shape) - 1) // 2}."
        )
    inner = tuple(slice(crop, side - crop) for side in spatial_shape)
    return x[(slice(None), *inner)]

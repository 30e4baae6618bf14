"""The self-attention layer in which every frame attends by itself."""

import functools
import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from gequi_jax import functional
from gequi_jax._checks import (
    check_channels,
    check_group,
    check_group_axis,
    check_positive_integer,
    check_rate,
    check_spatial_axes,
    check_window_shape,
)
from gequi_jax._typing import Array, FeatureMap, Float, OutFeatureMap
from gequi_jax.actions import relative_positions, window_offsets
from gequi_jax.groups import FiniteGroup
from gequi_jax.nn._dropout import Dropout
from gequi_jax.nn._group_linear import GroupLinear
from gequi_jax.nn._heads import features_per_head
from gequi_jax.nn._position_encoding import float32_or_wider
from gequi_jax.nn._windows import as_given, mask_of, static_mask


def rotary_frequencies(key: jax.Array, shape: tuple[int, ...], dtype: Any = jnp.float32) -> Array:
    """Frequencies of random directions whose lengths fall from 1 to 0.1 radians a step over the pairs of features.

    Args:
      key: a random key.
      shape: `(heads, pairs, dim)`.
      dtype: the type of the result.
    """
    directions = jax.random.normal(key, shape, dtype)
    directions = directions / jnp.linalg.norm(directions, axis=-1, keepdims=True)
    lengths = np.geomspace(1.0, 0.1, shape[-2])[None, :, None]
    return directions * jnp.asarray(lengths, dtype)


class FrameSelfAttention(nnx.Module):
    """Self-attention on the group in which every frame attends by itself, between linear maps that mix the frames.

        out(i, h) = W_out [ sum_j softmax_j( R q(i, h) . R k(j, h) / sqrt(d) + s(h^-1 (x_j - x_i)) ) v(j, h) ] over heads

    q, k, v and W_out are maps of all poses and channels that commute with the group, `GroupLinear`. R turns pairs of
    features by angles omega_f . h^-1 x with learned frequencies omega (`functional.rotary_encoding`). Equivariant: L_g on
    the input becomes L_g on the output. It costs as much as plain attention of the same numbers for each position in its
    scores, and less in its linear maps.

    Args:
      in_features: channels of the input, for each pose.
      out_features: channels of the output, for each pose.
      group: the group H.
      num_heads: the number of heads of each frame.
      qkv_features: features of queries, keys and values in total over the heads, for each pose, so that
        d = qkv_features / num_heads; `out_features` by default.
      window_size: the odd side of the window of keys around each query, or one side for each axis where the group does
        not exchange the axes; None attends to every position.
      window_mask: the offsets of the window that take part, as in `gequi_jax.functional.frame_self_attention`.
      rotary: whether queries and keys have rotary encodings; they need an even d.
      position_encoding: the constructor of s, called with `num_heads, dim=, dtype=, param_dtype=, precision=, rngs=`, such
        as `FourierEncoding`; None for s = 0.
      dropout_rate: the fraction of attention weights dropped in training.
      implementation: of `jax.nn.dot_product_attention`, as in `gequi_jax.functional.frame_self_attention`.
      dtype: the type of the computation; inferred by default. The softmax, rotations and s are float32 or wider.
      param_dtype: the type of the parameters.
      precision: of the linear maps and s, as in `jax.lax.dot_general`.
      kernel_init, bias_init: initialisers of the linear maps.
      frequency_init: initialiser of omega, `[num_heads, d / 2, dim]`.
      rngs: the random streams; "dropout" is used in training.

    Raises:
      ValueError: if sizes are not positive, `qkv_features` is not divisible by the number of heads or gives heads an odd
        number of features, or the window is even or not preserved by the group; when called, if the input does not fit
        the group or `in_features`.

    Reference: Islam et al. (2025), Platonic Transformers; Su et al. (2021), RoFormer.

    Example:
      >>> from gequi_jax.groups import dihedral_group
      >>> layer = FrameSelfAttention(8, 8, group=dihedral_group(4), num_heads=2, rngs=nnx.Rngs(0))
      >>> layer(jnp.ones((2, 6, 6, 8, 8))).shape
      (2, 6, 6, 8, 8)
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        group: FiniteGroup,
        num_heads: int,
        qkv_features: int | None = None,
        window_size: functional.WindowSize | None = None,
        window_mask: functional.WindowMask | None = None,
        rotary: bool = True,
        position_encoding: Callable[..., nnx.Module] | None = None,
        dropout_rate: float = 0.0,
        implementation: functional.DotProductImplementation | None = None,
        dtype: jax.typing.DTypeLike | None = None,
        param_dtype: jax.typing.DTypeLike = jnp.float32,
        precision: jax.lax.PrecisionLike = None,
        kernel_init: nnx.Initializer = nnx.initializers.lecun_normal(),
        bias_init: nnx.Initializer = nnx.initializers.zeros_init(),
        frequency_init: nnx.Initializer = rotary_frequencies,
        rngs: nnx.Rngs,
    ):
        check_group(group)
        self.group = group
        self.in_features = check_positive_integer("in_features", in_features)
        self.out_features = check_positive_integer("out_features", out_features)
        self.num_heads = check_positive_integer("num_heads", num_heads)
        self.head_features = features_per_head(qkv_features, self.out_features, self.num_heads)
        self.qkv_features = self.num_heads * self.head_features
        self.window_shape = None if window_size is None else check_window_shape(window_size, group)
        self.window_size = (
            None if window_size is None or self.window_shape is None else as_given(window_size, self.window_shape)
        )
        self.window_mask = static_mask(window_mask)
        self.implementation: functional.DotProductImplementation | None = implementation
        self.param_dtype = param_dtype
        dropout_rngs = rngs if check_rate("dropout_rate", dropout_rate) > 0.0 else None
        self.dropout = Dropout(dropout_rate, rngs=dropout_rngs)
        types = {"param_dtype": param_dtype, "precision": precision, "rngs": rngs}
        linear = {"group": group, "dtype": dtype, "kernel_init": kernel_init, "bias_init": bias_init, **types}
        self.qkv = GroupLinear(self.in_features, 3 * self.qkv_features, **linear)
        self.out = GroupLinear(self.qkv_features, self.out_features, **linear)
        self.frequencies = self._frequencies(frequency_init, rngs) if rotary else nnx.data(None)
        wide = None if dtype is None else float32_or_wider(dtype)
        self.position_encoding = nnx.data(None)
        if position_encoding is not None:
            encoding: Any = position_encoding(self.num_heads, dim=group.dim, dtype=wide, **types)
            if encoding.features != self.num_heads:
                raise ValueError(
                    f"position_encoding: expected {self.num_heads} features, one for each head; got {encoding.features}; use "
                    "FourierEncoding, which has any number."
                )
            self.position_encoding = encoding

    def __call__(
        self, x: FeatureMap, registers: Float[Array, "batch registers group in_features"] | None = None
    ) -> OutFeatureMap | tuple[OutFeatureMap, Float[Array, "batch registers group out_features"]]:
        """Maps `[batch, *spatial, group, in_features]` to `[batch, *spatial, group, out_features]`.

        Args:
          x: feature maps.
          registers: tokens without a position, which attend and are attended to as all positions are; they lie at the
            centre of the grid for rotary encodings, and s is 0 for them. Global attention only.

        Returns:
          Feature maps; with registers, feature maps and registers.

        Raises:
          ValueError: if the input does not fit, or there are registers and windows.
        """
        check_spatial_axes(x, self.group, other_axes=("batch", "group", "channels"))
        check_group_axis(x, self.group, axis=-2)
        check_channels(type(self).__name__, x, self.in_features)
        spatial_shape = x.shape[1 : 1 + self.group.dim]
        if registers is not None:
            return self._with_registers(x, registers, spatial_shape)
        query, key, value = self._projections(x)
        heads = functional.frame_self_attention(
            query,
            key,
            value,
            self._position_bias(spatial_shape),
            group=self.group,
            frequencies=None if self.frequencies is None else self.frequencies[...],
            window_size=self.window_shape,
            window_mask=mask_of(self.window_mask),
            **self._options(),
        )
        return self.out(heads.reshape(*heads.shape[:-2], -1))

    def _with_registers(self, x: Array, registers: Array, spatial_shape: tuple[int, ...]) -> tuple[Array, Array]:
        if self.window_shape is not None or self.window_mask is not None:
            raise ValueError("registers: expected global attention, in which every position sees them; got windows.")
        on_grid = (part.reshape(x.shape[0], -1, *part.shape[-3:]) for part in self._turned(*self._projections(x)))
        parts = zip(on_grid, self._projections(registers), strict=True)
        query, key, value = (jnp.concatenate(part, axis=1) for part in parts)
        bias = self._position_bias(spatial_shape)
        if bias is not None:
            _, offsets = relative_positions(spatial_shape)
            bias = jnp.moveaxis(jnp.take(bias, offsets, axis=1), -1, 1)  # [group, heads, q, k]
            bias = jnp.pad(bias, ((0, 0), (0, 0), *((0, registers.shape[1]),) * 2))
        heads = functional.frame_attention(query, key, value, bias, **self._options())
        heads = heads.reshape(*heads.shape[:-2], -1)
        seen, own = jnp.split(heads, [math.prod(spatial_shape)], axis=1)
        return self.out(seen.reshape(*x.shape[:-1], -1)), self.out(own)

    def _options(self) -> dict[str, Any]:
        key = self.dropout.next_key()
        rate = 0.0 if key is None else self.dropout.rate
        return {"dropout_rate": rate, "dropout_key": key, "implementation": self.implementation}

    def _frequencies(self, frequency_init: nnx.Initializer, rngs: nnx.Rngs) -> nnx.Param:
        if self.head_features % 2:
            raise ValueError(
                f"qkv_features: expected an even number of features for each of the {self.num_heads} heads, for rotary "
                f"encodings; got {self.qkv_features}; use {self.qkv_features + self.num_heads}, or rotary=False."
            )
        shape = (self.num_heads, self.head_features // 2, self.group.dim)
        return nnx.Param(frequency_init(rngs.params(), shape, self.param_dtype))

    def _projections(self, x: Array) -> list[Array]:
        """Queries, keys and values: `[batch, *tokens, group, heads, d]`."""
        qkv = self.qkv(x)
        return jnp.split(qkv.reshape(*qkv.shape[:-1], 3 * self.num_heads, self.head_features), 3, axis=-2)

    def _turned(self, query: Array, key: Array, value: Array) -> tuple[Array, Array, Array]:
        """Queries and keys with rotary encodings of their positions on the grid, and values."""
        if self.frequencies is None:
            return query, key, value
        spatial_shape = query.shape[1 : 1 + self.group.dim]
        positions = window_offsets(spatial_shape).reshape(*spatial_shape, -1)
        turn = functools.partial(functional.rotary_encoding, positions=positions, group=self.group)
        return turn(query, self.frequencies[...]), turn(key, self.frequencies[...]), value

    def _position_bias(self, spatial_shape: tuple[int, ...]) -> Array | None:
        if self.position_encoding is None:
            return None
        window_shape = self.window_shape or tuple(2 * side - 1 for side in spatial_shape)
        return functional.transformed_position_encodings(
            self.position_encoding, group=self.group, window_shape=window_shape, dtype=self.param_dtype
        )

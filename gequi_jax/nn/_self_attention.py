"""Lifting and group self-attention layers."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
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
from gequi_jax._typing import Array, FeatureMap, Grid, OutFeatureMap
from gequi_jax.groups import FiniteGroup
from gequi_jax.nn._dropout import Dropout
from gequi_jax.nn._heads import create_projections, features_per_head, position_features
from gequi_jax.nn._intermediates import are_captured
from gequi_jax.nn._position_encoding import CoordinateMLP, float32_or_wider
from gequi_jax.nn._windows import as_given, mask_of, static_mask


class _SelfAttention(nnx.Module):
    """What the two layers share: projections, positional encoding, dropout and the checks of all sizes."""

    # The functions of a layer, on all heads.
    _attention: Callable[..., Array]
    _probabilities: Callable[..., Array]

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
        position_encoding: Callable[..., nnx.Module] = CoordinateMLP,
        dropout_rate: float = 0.0,
        implementation: functional.Implementation = "auto",
        dtype: jax.typing.DTypeLike | None = None,
        param_dtype: jax.typing.DTypeLike = jnp.float32,
        precision: jax.lax.PrecisionLike = None,
        kernel_init: nnx.Initializer = nnx.initializers.lecun_normal(),
        bias_init: nnx.Initializer = nnx.initializers.zeros_init(),
        query_init: nnx.Initializer | None = None,
        query_bias_init: nnx.Initializer | None = None,
        rngs: nnx.Rngs,
    ):
        check_group(group)
        self.group = group
        self.in_features = check_positive_integer("in_features", in_features)
        self.out_features = check_positive_integer("out_features", out_features)
        self.num_heads = check_positive_integer("num_heads", num_heads)
        self.head_features = features_per_head(qkv_features, self.out_features, self.num_heads)
        self.qkv_features = self.num_heads * self.head_features
        shape = None if window_size is None else check_window_shape(window_size, group)
        self.window_shape = shape
        self.window_size = None if window_size is None or shape is None else as_given(window_size, shape)
        self.window_mask = static_mask(window_mask)
        self.implementation = implementation
        self.param_dtype = param_dtype
        self.query_position: tuple[int, ...] | None = None
        # Without dropout no stream is drawn from.
        dropout_rngs = rngs if check_rate("dropout_rate", dropout_rate) > 0.0 else None
        self.dropout = Dropout(dropout_rate, rngs=dropout_rngs)

        types = {"dtype": dtype, "param_dtype": param_dtype, "precision": precision, "rngs": rngs}
        projection = {"kernel_init": kernel_init, "bias_init": bias_init, **types}
        query = {"kernel_init": query_init or kernel_init, "bias_init": query_bias_init or bias_init, **types}
        heads = (self.num_heads, self.head_features)
        self.query, self.key, self.value, self.out = create_projections(
            self.in_features, heads, self.out_features, query=query, others=projection
        )
        types["dtype"] = None if dtype is None else float32_or_wider(dtype)
        self.position_encoding = position_encoding(
            self._position_features(), dim=group.dim, kernel_init=kernel_init, **types
        )

    def attention_probabilities(self, x: Array, position: Sequence[int]) -> Array:
        """The attention of one query position to every key, as `gequi_jax.functional.*_self_attention_probabilities`.

        Inside `nnx.capture(..., nnx.Intermediate)` every call sows them as "attention" for the position set by
        `model.set_attributes(query_position=(row, column))`, and nothing if none is set. Dropout is not applied.
        """
        self._check_input(x)
        query, key = self.query(x), self.key(x)
        return self._probabilities(query, key, *self._encodings(x, query.dtype), position=position, **self._options())

    def _call(self, x: Array) -> Array:
        self._check_input(x)
        query, key = self.query(x), self.key(x)
        encodings, options = self._encodings(x, query.dtype), self._options()
        if self.query_position is not None and are_captured(self):
            probabilities = self._probabilities(query, key, *encodings, position=self.query_position, **options)
            self.sow(nnx.Intermediate, "attention", probabilities)
        dropout_key = self.dropout.next_key()
        heads = self._attention(
            query,
            key,
            self.value(x),
            *encodings,
            dropout_rate=0.0 if dropout_key is None else self.dropout.rate,
            dropout_key=dropout_key,
            implementation=self.implementation,
            **options,
        )
        return self.out(heads)

    def _position_features(self) -> int:
        """The features of a head that encode the position; the others encode the pose."""
        return self.head_features

    def _check_input(self, x: Array) -> None:
        check_channels(type(self).__name__, x, self.in_features)

    def _window_shape(self, x: Array) -> tuple[int, ...]:
        return self.window_shape or tuple(2 * side - 1 for side in x.shape[1 : 1 + self.group.dim])

    def _encodings(self, x: Array, dtype: jax.typing.DTypeLike) -> tuple[Array, ...]:
        encoding = functional.transformed_position_encodings(
            self.position_encoding, group=self.group, window_shape=self._window_shape(x), dtype=self.param_dtype
        )
        return (encoding.astype(dtype),)

    def _options(self) -> dict[str, Any]:
        return {"group": self.group, "window_size": self.window_shape, "window_mask": mask_of(self.window_mask)}


class LiftingSelfAttention(_SelfAttention):
    """Self-attention from images to feature maps on the group.

        out(i, h) = W_out [ sum_j softmax_j( q(i) . [k(j) + rho(h^-1 (x_j - x_i))] / sqrt(d) ) v(j) ] over all heads

    Equivariant: L_g on the input becomes L_g on the output. The encoding rho is a function of continuous coordinates, so
    that every group acts on it without interpolation.

    Args:
      in_features: channels of the input.
      out_features: channels of the output.
      group: the group H.
      num_heads: the number of heads.
      qkv_features: features of queries, keys and values in total over the heads, as in Flax, so that
        d = qkv_features / num_heads; `out_features` by default.
      window_size: the odd side of the window of keys around each query, or one side for each axis where the group does not
        exchange the axes; None attends to every position.
      window_mask: the offsets of the window that take part, all by default: a mask of the shape of the window, or a
        function from that shape to a mask, such as `gequi_jax.actions.round_window`.
      position_encoding: the constructor of rho, called with `features, dim=, dtype=, param_dtype=, precision=,
        kernel_init=, rngs=`.
      dropout_rate: the fraction of attention weights dropped in training.
      implementation: as in `gequi_jax.functional.lifting_self_attention`.
      dtype: the type of the computation; inferred by default. The softmax and rho are float32 or wider.
      param_dtype: the type of the parameters.
      precision: of the projections and of rho, as in `jax.lax.dot_general`.
      kernel_init, bias_init: initialisers of the projections; rho receives `kernel_init` too.
      query_init: initialiser of the query in place of `kernel_init`: a smaller one starts with softer attention.
      query_bias_init: initialiser of the query's bias in place of `bias_init`: a nonzero one gives every head a preferred
        direction at initialisation, also where the content is zero.
      rngs: the random streams; "dropout" is used in training.

    Raises:
      ValueError: if sizes are not positive, `qkv_features` is not divisible by the number of heads, or the window is
        even or not preserved by the group; when called, if the input does not fit the group or `in_features`.

    Reference: Romero & Cordonnier (2021), Eq. 14.

    Example:
      >>> from gequi_jax.groups import cyclic_group
      >>> layer = LiftingSelfAttention(1, 8, group=cyclic_group(4), num_heads=2, window_size=3, rngs=nnx.Rngs(0))
      >>> layer(jnp.ones((2, 6, 6, 1))).shape
      (2, 6, 6, 4, 8)
    """

    _attention = staticmethod(functional.lifting_self_attention)
    _probabilities = staticmethod(functional.lifting_self_attention_probabilities)

    def __call__(self, x: Grid) -> OutFeatureMap:
        """Maps images `[batch, *spatial, in_features]` to `[batch, *spatial, group, out_features]`."""
        return self._call(x)

    def _check_input(self, x: Array) -> None:
        check_spatial_axes(x, self.group, other_axes=("batch", "channels"))
        super()._check_input(x)


class GroupSelfAttention(_SelfAttention):
    """Self-attention from feature maps on the group to feature maps on the group.

        out(i, h) = W_out [ sum_a sum_{j,b} softmax_{j,b}( q(i, a) . [k(j, b) + rho_h((i, a), (j, b))] / sqrt(d) ) v(j, b) ]
        rho_h((i, a), (j, b)) = (rho(h^-1 (x_j - x_i)), tau[pose_index[h, a, b]])

    Equivariant with an invariant pose index: L_g on the input becomes L_g on the output. By default tau is indexed by
    h^-1 b, the pose of the key seen from the output. Of the d features of a head, d // (dim + 1) encode each coordinate
    and the rest the pose.

    Args:
      in_features: channels of the input.
      out_features: channels of the output.
      group: the group H.
      num_heads: the number of heads.
      qkv_features: features of queries, keys and values in total over the heads, as in Flax, so that
        d = qkv_features / num_heads; `out_features` by default.
      window_size: the odd side of the window of keys around each query, or one side for each axis where the group does not
        exchange the axes; None attends to every position.
      window_mask: the offsets of the window that take part, all by default: a mask of the shape of the window, or a
        function from that shape to a mask, such as `gequi_jax.actions.round_window`.
      pose_index: the function that gives the rows of tau, see `gequi_jax.functional.key_pose`.
      position_encoding: the constructor of rho, called with `features, dim=, dtype=, param_dtype=, precision=,
        kernel_init=, rngs=`.
      dropout_rate: the fraction of attention weights, summed over a, dropped in training.
      implementation: as in `gequi_jax.functional.group_self_attention`.
      dtype: the type of the computation; inferred by default. The softmax and rho are float32 or wider.
      param_dtype: the type of the parameters.
      precision: of the projections and of rho, as in `jax.lax.dot_general`.
      kernel_init, bias_init: initialisers of the projections; rho receives `kernel_init` too.
      query_init: initialiser of the query in place of `kernel_init`: a smaller one starts with softer attention.
      query_bias_init: initialiser of the query's bias in place of `bias_init`: a nonzero one gives every head a preferred
        direction at initialisation, also where the content is zero.
      pose_init: initialiser of tau, `[rows, features]`.
      rngs: the random streams; "dropout" is used in training.

    Raises:
      ValueError: if sizes are not positive, `qkv_features` is not divisible by the number of heads, or the window is
        even or not preserved by the group; when called, if the input does not fit the group or `in_features`.

    Reference: Romero & Cordonnier (2021), Eq. 16, with a pose encoding that is invariant.

    Example:
      >>> from gequi_jax.groups import dihedral_group
      >>> layer = GroupSelfAttention(
      ...     8, 8, group=dihedral_group(4), num_heads=2, window_size=3, rngs=nnx.Rngs(0))
      >>> layer(jnp.ones((2, 6, 6, 8, 8))).shape
      (2, 6, 6, 8, 8)
    """

    _attention = staticmethod(functional.group_self_attention)
    _probabilities = staticmethod(functional.group_self_attention_probabilities)

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
        pose_index: functional.PoseIndex = functional.key_pose,
        position_encoding: Callable[..., nnx.Module] = CoordinateMLP,
        dropout_rate: float = 0.0,
        implementation: functional.Implementation = "auto",
        dtype: jax.typing.DTypeLike | None = None,
        param_dtype: jax.typing.DTypeLike = jnp.float32,
        precision: jax.lax.PrecisionLike = None,
        kernel_init: nnx.Initializer = nnx.initializers.lecun_normal(),
        bias_init: nnx.Initializer = nnx.initializers.zeros_init(),
        query_init: nnx.Initializer | None = None,
        query_bias_init: nnx.Initializer | None = None,
        pose_init: nnx.Initializer = nnx.initializers.normal(1.0),
        rngs: nnx.Rngs,
    ):
        super().__init__(
            in_features,
            out_features,
            group=group,
            num_heads=num_heads,
            qkv_features=qkv_features,
            window_size=window_size,
            window_mask=window_mask,
            position_encoding=position_encoding,
            dropout_rate=dropout_rate,
            implementation=implementation,
            dtype=dtype,
            param_dtype=param_dtype,
            precision=precision,
            kernel_init=kernel_init,
            bias_init=bias_init,
            query_init=query_init,
            query_bias_init=query_bias_init,
            rngs=rngs,
        )
        self.pose_index = pose_index
        rows = int(pose_index(group).max()) + 1
        features = self.head_features - self._position_features()
        self.pose_encoding = nnx.Param(pose_init(rngs.params(), (rows, features), param_dtype))

    def __call__(self, x: FeatureMap) -> OutFeatureMap:
        """Maps `[batch, *spatial, group, in_features]` to `[batch, *spatial, group, out_features]`."""
        return self._call(x)

    def _position_features(self) -> int:
        return position_features(self.head_features, self.group.dim)

    def _check_input(self, x: Array) -> None:
        check_spatial_axes(x, self.group, other_axes=("batch", "group", "channels"))
        check_group_axis(x, self.group, axis=-2)
        super()._check_input(x)

    def _encodings(self, x: Array, dtype: jax.typing.DTypeLike) -> tuple[Array, ...]:
        return (*super()._encodings(x, dtype), self.pose_encoding[...].astype(dtype))

    def _options(self) -> dict[str, Any]:
        return super()._options() | {"pose_index": self.pose_index(self.group)}

"""Lifting and group self-attention layers."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from gequi_jax import functional
from gequi_jax._checks import check_group, check_group_axis, check_positive_integer, check_spatial_axes, check_window
from gequi_jax._typing import Array, Bool, FeatureMap, Grid, OutFeatureMap
from gequi_jax.groups import FiniteGroup
from gequi_jax.nn._intermediates import are_captured
from gequi_jax.nn._position_encoding import CoordinateMLP


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
        window_size: int | None = None,
        window_mask: Callable[[tuple[int, ...]], Bool[np.ndarray, " window"]] | None = None,
        position_encoding: Callable[..., nnx.Module] = CoordinateMLP,
        dropout_rate: float = 0.0,
        implementation: str = "auto",
        dtype: jax.typing.DTypeLike | None = None,
        param_dtype: jax.typing.DTypeLike = jnp.float32,
        precision: jax.lax.PrecisionLike = None,
        kernel_init: nnx.Initializer = nnx.initializers.lecun_normal(),
        bias_init: nnx.Initializer = nnx.initializers.zeros_init(),
        query_init: nnx.Initializer | None = None,
        query_bias_init: nnx.Initializer | None = None,
        rngs: nnx.Rngs,
    ):
        for argument, value in (("in_features", in_features), ("out_features", out_features), ("num_heads", num_heads)):
            check_positive_integer(argument, value)
        check_group(group)
        if window_size is not None:
            check_window(window_size)
        if not 0.0 <= dropout_rate < 1.0:
            raise ValueError(f"dropout_rate: expected a number from 0 to below 1; got {dropout_rate!r}.")
        if qkv_features is None:
            if out_features % num_heads:
                raise ValueError(
                    f"num_heads: {num_heads} heads do not divide out_features={out_features}; choose a divisor, or give "
                    "qkv_features, the features of each head."
                )
            qkv_features = out_features // num_heads
        check_positive_integer("qkv_features", qkv_features)
        self.in_features = in_features
        self.out_features = out_features
        self.group = group
        self.num_heads = num_heads
        self.qkv_features = qkv_features
        self.window_size = window_size
        self.window_mask = window_mask
        self.dropout_rate = dropout_rate
        self.implementation = implementation
        self.param_dtype = param_dtype
        self.query_position: tuple[int, ...] | None = None
        self.deterministic = False
        self.rngs = rngs["dropout"].fork() if dropout_rate > 0.0 else nnx.data(None)

        projection = dict(dtype=dtype, param_dtype=param_dtype, precision=precision, rngs=rngs)
        projection |= dict(kernel_init=kernel_init, bias_init=bias_init)
        heads = (num_heads, qkv_features)
        query = {"kernel_init": query_init or kernel_init, "bias_init": query_bias_init or bias_init}
        self.query = nnx.LinearGeneral(in_features, heads, **{**projection, **query})
        self.key = nnx.LinearGeneral(in_features, heads, **projection)
        self.value = nnx.LinearGeneral(in_features, heads, **projection)
        self.out = nnx.LinearGeneral(heads, out_features, axis=(-2, -1), **projection)
        self.position_encoding = position_encoding(
            self._position_features(), dim=group.dim, param_dtype=param_dtype, kernel_init=kernel_init, rngs=rngs
        )

    def attention_probabilities(self, x: Array, position: Sequence[int]) -> Array:
        """What one query position pays to every key, as `gequi_jax.functional.*_self_attention_probabilities`.

        Inside `nnx.capture(..., nnx.Intermediate)` every call sows them as "attention" for the position that
        `model.set_attributes(query_position=(row, column))` has chosen, and nothing where none is. Dropout is left out.
        """
        self._check_input(x)
        query, key = self.query(x), self.key(x)
        return self._probabilities(query, key, *self._encodings(x, query.dtype), position=position, **self._options(x))

    def _call(self, x: Array) -> Array:
        self._check_input(x)
        query, key = self.query(x), self.key(x)
        encodings, options = self._encodings(x, query.dtype), self._options(x)
        if self.query_position is not None and are_captured(self):
            found = self._probabilities(query, key, *encodings, position=self.query_position, **options)
            self.sow(nnx.Intermediate, "attention", found)
        dropout_on = self.dropout_rate > 0.0 and not self.deterministic
        heads = self._attention(
            query,
            key,
            self.value(x),
            *encodings,
            dropout_rate=self.dropout_rate if dropout_on else 0.0,
            dropout_key=self.rngs() if dropout_on else None,
            implementation=self.implementation,
            **options,
        )
        return self.out(heads)

    def _position_features(self) -> int:
        raise NotImplementedError

    def _check_input(self, x: Array) -> None:
        if x.shape[-1] != self.in_features:
            raise ValueError(
                f"{type(self).__name__}: expected {self.in_features} input channels (in_features) on the last axis; "
                f"got shape {x.shape}."
            )

    def _window_shape(self, x: Array) -> tuple[int, ...]:
        return tuple(self.window_size or 2 * side - 1 for side in x.shape[1 : 1 + self.group.dim])

    def _encodings(self, x: Array, dtype: jax.typing.DTypeLike) -> tuple[Array, ...]:
        encoding = functional.transformed_position_encodings(
            self.position_encoding, group=self.group, window_shape=self._window_shape(x), dtype=self.param_dtype
        )
        return (encoding.astype(dtype),)

    def _options(self, x: Array) -> dict[str, Any]:
        mask = None if self.window_mask is None else self.window_mask(self._window_shape(x))
        return {"group": self.group, "window_size": self.window_size, "window_mask": mask}


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
      qkv_features: the features d of each head (not of all heads together); `out_features / num_heads` by default.
      window_size: the odd side of the window of keys around each query; None attends to every position.
      window_mask: from a window shape to the offsets that take part, such as `gequi_jax.actions.round_window`.
      position_encoding: the constructor of rho, called with `features, dim=, param_dtype=, kernel_init=, rngs=`.
      dropout_rate: the fraction of attention weights dropped in training.
      implementation: as in `gequi_jax.functional.lifting_self_attention`.
      dtype: the type of the computation; inferred by default. The softmax is float32 or wider.
      param_dtype: the type of the parameters.
      precision: of the projections, as in `jax.lax.dot_general`.
      kernel_init, bias_init: initialisers of the projections.
      query_init: initialiser of the query in place of `kernel_init`: a smaller one starts with softer attention.
      query_bias_init: initialiser of the query's bias in place of `bias_init`: with one that is not 0 every head looks in
        a direction of its own from the start, also where the content says nothing.
      rngs: the random streams; "dropout" is used in training.

    Raises:
      ValueError: if sizes are not positive, heads do not divide the features, or the window is even.

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

    def _position_features(self) -> int:
        return self.qkv_features

    def _check_input(self, x: Array) -> None:
        check_spatial_axes(x, self.group, other_axes=("batch", "channels"))
        super()._check_input(x)


class GroupSelfAttention(_SelfAttention):
    """Self-attention from feature maps on the group to feature maps on the group.

        out(i, h) = W_out [ sum_a sum_{j,b} softmax_{j,b}( q(i, a) . [k(j, b) + rho_h((i, a), (j, b))] / sqrt(d) ) v(j, b) ]
        rho_h((i, a), (j, b)) = (rho(h^-1 (x_j - x_i)), tau[pose_index[h, a, b]])

    Equivariant with an invariant pose index: L_g on the input becomes L_g on the output. By default tau is indexed by
    h^-1 b, the pose of the key seen from the output.

    The arguments are those of `LiftingSelfAttention`, and:

    Args:
      pose_index: the function that gives the rows of tau, see `gequi_jax.functional.key_pose`.
      pose_init: the initialiser of tau, `[rows, features]`.

    Of the d features of a head, d // (dim + 1) encode each coordinate and the rest the pose.

    Raises:
      ValueError: if sizes are not positive, heads do not divide the features, or the window is even.

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
        pose_index: functional.PoseIndex = functional.key_pose,
        pose_init: nnx.Initializer = nnx.initializers.normal(1.0),
        rngs: nnx.Rngs,
        **options,
    ):
        super().__init__(in_features, out_features, group=group, rngs=rngs, **options)
        self.pose_index = pose_index
        rows = int(pose_index(group).max()) + 1
        features = self.qkv_features - self._position_features()
        self.pose_encoding = nnx.Param(pose_init(rngs.params(), (rows, features), self.param_dtype))

    def __call__(self, x: FeatureMap) -> OutFeatureMap:
        """Maps `[batch, *spatial, group, in_features]` to `[batch, *spatial, group, out_features]`."""
        return self._call(x)

    def _position_features(self) -> int:
        coordinates = self.group.dim
        return self.qkv_features // (coordinates + 1) * coordinates

    def _check_input(self, x: Array) -> None:
        check_spatial_axes(x, self.group, other_axes=("batch", "group", "channels"))
        check_group_axis(x, self.group, axis=-2)
        super()._check_input(x)

    def _encodings(self, x: Array, dtype: jax.typing.DTypeLike) -> tuple[Array, ...]:
        return (*super()._encodings(x, dtype), self.pose_encoding[...].astype(dtype))

    def _options(self, x: Array) -> dict[str, Any]:
        return super()._options(x) | {"pose_index": self.pose_index(self.group)}

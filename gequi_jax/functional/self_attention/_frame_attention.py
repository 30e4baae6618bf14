"""Attention in which every frame attends by itself: ordinary attention of |H| times as many heads."""

from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from gequi_jax._checks import check_group_axis, check_spatial_axes
from gequi_jax._typing import Array, Bool, FeatureMapHeads, FeatureMapValues, Float, Int
from gequi_jax.actions import relative_positions, window_offsets
from gequi_jax.functional._platform import by_platform
from gequi_jax.functional._types import wide_type
from gequi_jax.functional._windows import Window, WindowMask, WindowSize, resolve_window
from gequi_jax.functional.self_attention._dropout import Dropout, resolve_dropout
from gequi_jax.functional.self_attention._frame_shifts import attend_by_shifts, attends_by_shifts
from gequi_jax.functional.self_attention._frame_windows import window_tiles
from gequi_jax.functional.self_attention._rotary import check_frequencies, rotation, turn
from gequi_jax.groups import FiniteGroup

DotProductImplementation = Literal["xla", "cudnn"]


def frame_self_attention(
    query: FeatureMapHeads,
    key: FeatureMapHeads,
    value: FeatureMapValues,
    position_bias: Float[Array, "group window heads"] | None = None,
    *,
    group: FiniteGroup,
    frequencies: Float[Array, "distinct_heads pairs dim"] | None = None,
    window_size: WindowSize | None = None,
    window_mask: WindowMask | None = None,
    scale: float | None = None,
    dropout_rate: float = 0.0,
    dropout_key: Array | None = None,
    implementation: DotProductImplementation | None = None,
) -> FeatureMapHeads:
    """Self-attention in every frame h by itself, with positions as seen from h.

        out(i, h) = sum_j softmax_j( scale R q(i, h) . R k(j, h) + s(h^-1 (x_j - x_i)) ) v(j, h)

    R turns pairs of features by angles omega . h^-1 x, as in `rotary_encoding`; without frequencies omega it is 1.
    Equivariant: L_g on the input becomes L_g on the output, since the scores depend on the relative position seen from h
    only. It has |H| scores for each head and pair of positions, where `group_self_attention` has |H|^3. Frames exchange
    nothing here, but in the linear maps around it.

    Args:
      query, key, value: `[batch, *spatial, group, heads, features]`.
      position_bias: s for every h and offset, `transformed_position_encodings` of an encoding with one feature for each
        head; None for 0.
      group: the group H.
      frequencies: omega, `[heads, features / 2, dim]`, as in `rotary_encoding`; None for R = 1.
      window_size: the odd side of the window of keys around each query, or one side for each axis; None attends to every
        position.
      window_mask: the offsets of the window that take part, all by default: a mask of the shape of the window, or
        flattened, or a function from that shape to a mask, such as `gequi_jax.actions.round_window`. It contains the
        centre.
      scale: the factor of q . k; `1 / sqrt(features)` by default.
      dropout_rate: the fraction of attention weights that is set to 0; the others grow to keep the expectation.
      dropout_key: a `jax.random` key, needed where `dropout_rate > 0`.
      implementation: that of `jax.nn.dot_product_attention`: "xla", "cudnn" or None for its default. Attention
        with dropout, and in float64, does not use it. With None, windows of few features do not use it on a CPU; they
        support reverse mode only, on every platform, and forward mode needs "xla".

    Returns:
      `[batch, *spatial, group, heads, features]`.

    Raises:
      ValueError: if shapes do not fit, the window is even, larger than twice the grid or not preserved by the group, the
        mask lacks the centre, or the key for dropout is missing.

    Reference: Islam et al. (2025), Platonic Transformers.
    """
    for array in (query, key, value):
        check_spatial_axes(array, group, other_axes=("batch", "group", "heads", "features"))
        check_group_axis(array, group, axis=-3)
    _check_shapes(query, key, value)
    window = resolve_window(window_size, window_mask, group=group, spatial_shape=query.shape[1 : 1 + group.dim])
    _check_window(window, position_bias, (group.order, window.size, query.shape[-2]))
    if frequencies is not None:
        check_frequencies(query, frequencies, group)
        frequencies = jnp.tile(frequencies, (query.shape[-2] // frequencies.shape[0], 1, 1))
    tokens = _Tokens(query, key, value, frequencies, group)
    dropout = resolve_dropout(dropout_rate, dropout_key)
    attend = _attend_globally if window.is_global else _attend_in_windows
    out = attend(tokens, position_bias, window, scale=scale, dropout=dropout, implementation=implementation)
    return out.reshape(query.shape)


def frame_attention(
    query: Float[Array, "batch queries group heads features"],
    key: Float[Array, "batch keys group heads features"],
    value: Float[Array, "batch keys group heads features"],
    bias: Float[Array, "group heads rows columns"] | None = None,
    *,
    scale: float | None = None,
    dropout_rate: float = 0.0,
    dropout_key: Array | None = None,
    implementation: DotProductImplementation | None = None,
) -> Float[Array, "batch queries group heads features"]:
    """Attention of tokens to tokens, in every frame h by itself.

        out(i, h) = sum_j softmax_j( scale q(i, h) . k(j, h) + bias(h, i, j) ) v(j, h)

    Equivariant if `bias[g h, g i, g j] == bias[h, i, j]`, where g permutes the tokens. `frame_self_attention` is the case
    of the positions of a grid; here tokens may have no position.

    Args:
      query: `[batch, queries, group, heads, features]`.
      key, value: `[batch, keys, group, heads, features]`.
      bias: `[group, heads, queries, keys]`, added to the scores; None for 0.
      scale: the factor of q . k; `1 / sqrt(features)` by default.
      dropout_rate: the fraction of attention weights that is set to 0; the others grow to keep the expectation.
      dropout_key: a `jax.random` key, needed where `dropout_rate > 0`.
      implementation: as in `frame_self_attention`.

    Returns:
      `[batch, queries, group, heads, features]`.

    Raises:
      ValueError: if shapes do not fit, or the key for dropout is missing.
    """
    _check_shapes(query, key, value)
    expected = (*query.shape[2:4], query.shape[1], key.shape[1])
    if bias is not None and bias.shape != expected:
        raise ValueError(f"bias: expected [group, heads, queries, keys] = {expected}; got shape {bias.shape}.")
    dropout = resolve_dropout(dropout_rate, dropout_key)
    merged = [x.reshape(*x.shape[:2], -1, x.shape[-1]) for x in (query, key, value)]
    bias = None if bias is None else bias.reshape(-1, *bias.shape[2:])
    options = {"scale": scale, "dropout": dropout, "implementation": implementation}
    return _attend(merged[0], merged[1], merged[2], bias, None, **options).reshape(query.shape)


def _check_shapes(query: Array, key: Array, value: Array) -> None:
    if key.shape != value.shape or key.shape[:1] + key.shape[-3:] != query.shape[:1] + query.shape[-3:]:
        raise ValueError(
            f"key, value: expected one shape, with the batch and the (group, heads, features) of the query, {query.shape}; "
            f"got {key.shape} and {value.shape}."
        )


def _check_window(window: Window, position_bias: Array | None, expected: tuple[int, ...]) -> None:
    if not window.mask[window.size // 2]:
        raise ValueError("window_mask: expected a mask that contains the centre, so that every query has a key.")
    if position_bias is not None and position_bias.shape != expected:
        raise ValueError(
            f"position_bias: expected [group, window, heads] = {expected} for the window {window.shape}; got shape "
            f"{position_bias.shape}."
        )


class _Tokens(NamedTuple):
    """Queries, keys and values `[batch, *spatial, group, heads, features]`, and how their positions turn the first two."""

    query: Array
    key: Array
    value: Array
    frequencies: Array | None
    group: FiniteGroup

    def merged(self, *, turned: bool) -> tuple[Array, Array, Array]:
        """The three with frames as heads, `[batch, *spatial, group * heads, features]`."""
        query, key = self.query, self.key
        rotation = self.rotation(positions_last=False) if turned else None
        if rotation is not None:
            query, key = (turn(x, *(angle[None] for angle in rotation), axis=-1) for x in (query, key))
        query, key, value = (x.reshape(*x.shape[:-3], -1, x.shape[-1]) for x in (query, key, self.value))
        return query, key, value

    def rotation(self, *, positions_last: bool) -> tuple[Array, Array] | None:
        """The cosines and the sines of all angles, for `turn`; None without frequencies."""
        if self.frequencies is None:
            return None
        spatial_shape = self.query.shape[1:-3]
        positions = window_offsets(spatial_shape)
        positions = positions if positions_last else positions.reshape(*spatial_shape, -1)
        options = {"group": self.group, "dtype": wide_type(self.query), "positions_last": positions_last}
        return rotation(self.frequencies, positions, **options)


def _attend_globally(tokens: _Tokens, position_bias: Array | None, window: Window, **options: Any) -> Array:
    """Attention to all positions."""
    merged = tokens.merged(turned=True)
    _, offsets = relative_positions(merged[0].shape[1:-2])
    mask = None if window.mask.all() else window.mask[offsets][None, None]
    query, key, value = (x.reshape(x.shape[0], -1, *x.shape[-2:]) for x in merged)
    return _attend(query, key, value, _bias_of_offsets(position_bias, offsets), mask, **options)


def _attend_in_windows(
    tokens: _Tokens, position_bias: Array | None, window: Window, *, scale: float | None, **options: Any
) -> Array:
    """The same in windows: tile by tile, or on a CPU with few products, by shifts."""
    factor = tokens.query.shape[-1] ** -0.5 if scale is None else scale

    def attend(by_shifts: bool, query: Array, key: Array, value: Array, frequencies: Any, position_bias: Any) -> Array:
        own = _Tokens(query, key, value, frequencies, tokens.group)
        if by_shifts:
            return _attend_by_shifts(own, position_bias, window, scale=factor)
        query, key, value = own.merged(turned=True)
        return _attend_in_tiles(query, key, value, position_bias, window, scale=factor, **options)

    shifts = attends_by_shifts(window, tokens.query.shape[-1])
    shifts = shifts and options["implementation"] is None and options["dropout"].key is None
    return by_platform(attend, *tokens[:4], position_bias, default=False, cpu=shifts)


def _attend_by_shifts(tokens: _Tokens, position_bias: Array | None, window: Window, *, scale: float) -> Array:
    if position_bias is not None:
        by_head = position_bias[:, np.flatnonzero(window.mask)].swapaxes(1, 2)
        position_bias = by_head.reshape(-1, by_head.shape[-1])  # [group * heads, offsets that take part]
    query, key, value = tokens.merged(turned=False)
    rotation = tokens.rotation(positions_last=True)
    return attend_by_shifts(query, key, value, position_bias, rotation, window, scale=scale)


def _attend_in_tiles(
    query: Array, key: Array, value: Array, position_bias: Array | None, window: Window, **options: Any
) -> Array:
    tiles = window_tiles(query.shape[1:-2], window)
    mask = jnp.broadcast_to(tiles.valid[None], (query.shape[0], *tiles.valid.shape))
    out = _attend(
        tiles.split(query),
        tiles.split_with_halo(key),
        tiles.split_with_halo(value),
        _bias_of_offsets(position_bias, tiles.offsets),
        mask.reshape(-1, 1, *mask.shape[2:]),
        **options,
    )
    return tiles.join(out, query.shape[0])


def _bias_of_offsets(position_bias: Array | None, offsets: Int[np.ndarray, "q k"]) -> Array | None:
    """`[group * heads, q, k]` from a bias of offsets `[group, window, heads]`."""
    if position_bias is None:
        return None
    by_pair = jnp.take(position_bias, offsets, axis=1)  # [group, q, k, heads]
    return jnp.moveaxis(by_pair, -1, 1).reshape(-1, *offsets.shape)


def _attend(
    query: Float[Array, "batch q heads features"],
    key: Float[Array, "batch k heads features"],
    value: Float[Array, "batch k heads features"],
    bias: Float[Array, "heads q k"] | None,
    mask: Bool[Array | np.ndarray, "#batch 1 q k"] | None,
    *,
    scale: float | None,
    dropout: Dropout,
    implementation: DotProductImplementation | None,
) -> Float[Array, "batch q heads features"]:
    """Ordinary attention of many heads."""
    factor = query.shape[-1] ** -0.5 if scale is None else scale
    bias = None if bias is None else bias.astype(wide_type(query))[None]
    mask = None if mask is None else jnp.asarray(mask)
    operands = (query, key, value, bias, mask)
    if dropout.key is not None or wide_type(query) != jnp.float32:
        # The function of JAX has no dropout, and computes its softmax in float32 also of float64.
        return _attend_by_products(*operands, scale=factor, dropout=dropout)

    def attend(by_products: bool, *operands: Array) -> Array:
        if by_products:
            return _attend_by_products(*operands, scale=factor, dropout=dropout)
        # It promotes to float32 implicitly, which users may forbid.
        with jax.numpy_dtype_promotion("standard"):
            return jax.nn.dot_product_attention(*operands, scale=factor, implementation=implementation)

    return by_platform(attend, *operands, default=False, cpu=implementation is None)


def _attend_by_products(
    query: Array, key: Array, value: Array, bias: Array | None, mask: Array | None, *, scale: float, dropout: Dropout
) -> Array:
    """The equation, with the tokens of keys and values last: a CPU multiplies small matrices up to five times faster so."""
    wide = wide_type(query)
    query, key, value = (query * scale).swapaxes(1, 2), *(x.transpose(0, 2, 3, 1) for x in (key, value))
    scores = jnp.einsum("bhqd,bhdk->bhqk", query, key, preferred_element_type=wide)
    scores = scores if bias is None else scores + bias
    scores = scores if mask is None else jnp.where(mask, scores, jnp.finfo(wide).min / 2)
    # The softmax is divided by its total after the product with the values: two passes less over all scores, each way.
    weights = jnp.exp(scores - jax.lax.stop_gradient(scores.max(axis=-1, keepdims=True)))
    total = weights.sum(axis=-1, keepdims=True)
    seeds = dropout.split(query.shape[0])
    if seeds is not None:
        kept = jax.vmap(lambda seed: dropout.mask(seed[None], weights.shape[1:]))(seeds)
        weights = dropout.scaled(weights, kept)
    out = jnp.einsum("bhqk,bhdk->bhqd", weights.astype(value.dtype), value, preferred_element_type=wide)
    return (out / total).astype(value.dtype).swapaxes(1, 2)

"""Self-attention over blocks of query positions.

A score is the sum of three terms: content, which all output poses share; place, q . rho(h^-1 x), which all key poses
share; and pose, q . tau, which all positions share. Only the sum has |H|^3 window entries for each query position and
head. It is made for a block of positions at a time, small enough for the cache, and made again in the backward pass, so
that the memory of the whole operation stays that of its inputs and outputs.

Dimension names in the einsums: p query positions, j window or key positions, h heads, d features, and the poses g of the
output, a of the query and m of the key.
"""

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from gequi_jax._typing import Array
from gequi_jax.actions import relative_positions

# Scores in one step of the loop: a CPU wants them in its cache, an accelerator wants to be filled.
_SCORES_PER_STEP = {"cpu": 2**19, "tpu": 2**26}
_SCORES_PER_STEP_GPU = 2**28


def attend_locally(
    query: Array,
    key: Array,
    value: Array,
    position_encoding: Array,
    pose_encoding: Array | None,
    *,
    pose_index: np.ndarray,
    window_shape: tuple[int, ...],
    window_mask: np.ndarray,
    dropout_rate: float,
    dropout_key: Array | None,
    in_blocks: bool,
) -> Array:
    """Attention to a window around each query; a block is some rows of one image, or slabs of a volume.

    Args:
      query, key, value: `[batch, *spatial, pose, heads, features]`, the query already scaled.
      position_encoding: `[group, window, position_features]`.
      pose_encoding: `[rows, pose_features]` or None.
      pose_index: `[output, query, key]`, rows of the pose encoding.
      window_shape: odd sides.
      window_mask: which of the flattened window takes part.
      dropout_rate, dropout_key: dropout of attention weights; no key means none.
      in_blocks: False makes all scores at once and keeps them for the backward pass.

    Returns:
      `[batch, *spatial, group, heads, features]`.
    """
    dim = len(window_shape)
    rows, *columns = query.shape[1 : 1 + dim]
    radii = [side // 2 for side in window_shape]
    inside = _pad(np.ones((rows, *columns), bool), radii)
    scores_per_row = math.prod(columns) * _scores_per_query(query, position_encoding, window_mask.size)
    rows_per_block, samples_per_step = _block_sizes(rows, scores_per_row, query.shape[0], in_blocks)

    def attend_sample(query, key, value, row_keys):
        key, value = _pad(key, radii), _pad(value, radii)

        def attend_rows(first_row, query, row_keys):
            key_windows, value_windows, valid = (
                _windows(
                    jax.lax.dynamic_slice_in_dim(array, first_row, rows_per_block + window_shape[0] - 1), window_shape
                )
                for array in (key, value, jnp.asarray(inside))
            )
            out = _attend(
                query.reshape(-1, *query.shape[dim:]),
                key_windows,
                value_windows,
                valid & jnp.asarray(window_mask)[None],
                position_encoding,
                _expanded(pose_encoding, pose_index),
                row_keys,
                dropout_rate,
            )
            return out.reshape(*query.shape[:dim], *out.shape[1:])

        first_rows = np.arange(0, rows, rows_per_block)
        return _map_blocks(attend_rows, first_rows, query, row_keys, in_blocks=in_blocks)

    return _map_samples(attend_sample, query, key, value, dropout_key, rows, samples_per_step)


def attend_globally(
    query: Array,
    key: Array,
    value: Array,
    position_encoding: Array,
    pose_encoding: Array | None,
    *,
    pose_index: np.ndarray,
    window_shape: tuple[int, ...],
    window_mask: np.ndarray,
    dropout_rate: float,
    dropout_key: Array | None,
    in_blocks: bool,
) -> Array:
    """Attention to every position; a block is some query positions of one image.

    Arguments and result are those of `attend_locally`, with the window of all relative offsets, `2 side - 1`.
    """
    dim = len(window_shape)
    spatial_shape = query.shape[1 : 1 + dim]
    _, offset_index = relative_positions(spatial_shape)  # [query position, key position]
    positions = len(offset_index)
    query, key, value = (
        array.reshape(array.shape[0], positions, *array.shape[1 + dim :]) for array in (query, key, value)
    )
    scores_per_position = _scores_per_query(query, position_encoding, positions)
    block_size, samples_per_step = _block_sizes(positions, scores_per_position, query.shape[0], in_blocks)

    def attend_sample(query, key, value, position_keys):
        def attend_positions(first, query, position_keys):
            offsets = jax.lax.dynamic_slice_in_dim(jnp.asarray(offset_index, jnp.int32), first, block_size)
            return _attend(
                query,
                key,
                value,
                jnp.asarray(window_mask)[offsets],
                jnp.take(position_encoding, offsets, axis=1),
                _expanded(pose_encoding, pose_index),
                position_keys,
                dropout_rate,
            )

        firsts = np.arange(0, positions, block_size)
        return _map_blocks(attend_positions, firsts, query, position_keys, in_blocks=in_blocks)

    out = _map_samples(attend_sample, query, key, value, dropout_key, positions, samples_per_step)
    return out.reshape(out.shape[0], *spatial_shape, *out.shape[2:])


def _attend(
    query: Array,
    key: Array,
    value: Array,
    valid: Array,
    position_encoding: Array,
    pose_encoding: Array | None,
    dropout_keys: Array | None,
    dropout_rate: float,
) -> Array:
    """The equations of self-attention for a set of query positions.

    Args:
      query: `[p, a, h, d]`.
      key, value: the windows `[p, j, m, h, d]`, or `[j, m, h, d]` shared by all queries.
      valid: `[p, j]`, False where a key does not exist or is masked.
      position_encoding: `[g, j, d]`, or `[g, p, j, d]` where it differs between queries.
      pose_encoding: `[g, a, m, d]` or None.
      dropout_keys: a key for each of some equal parts of p, or None.
      dropout_rate: the fraction of attention weights to drop.

    Returns:
      `[p, g, h, d]`.
    """
    key_axes = "pjmhd" if key.ndim == 5 else "jmhd"
    place_axes = "gjd" if position_encoding.ndim == 3 else "gpjd"
    wide = jnp.promote_types(query.dtype, jnp.float32)

    def scores_of(equation, *operands):
        return jnp.einsum(equation, *operands, preferred_element_type=wide)

    content = scores_of(f"pahd,{key_axes}->phamj", query, key)
    content = jnp.where(valid[:, None, None, None, :], content, -jnp.inf)
    place = scores_of(f"pahd,{place_axes}->phgaj", query[..., : position_encoding.shape[-1]], position_encoding)
    scores = content[:, :, None] + place[..., None, :]  # [p, h, g, a, m, j]
    if pose_encoding is not None:
        pose = scores_of("pahd,gamd->phgam", query[..., query.shape[-1] - pose_encoding.shape[-1] :], pose_encoding)
        scores = scores + pose[..., None]
    largest = jax.lax.stop_gradient(scores.max(axis=(-2, -1), keepdims=True))
    # A query without a single valid key has only scores of -inf: its weights become 0, not NaN.
    weights = jnp.exp(scores - jnp.where(jnp.isfinite(largest), largest, 0.0))
    total = weights.sum(axis=(-2, -1), keepdims=True)
    attention = (weights / jnp.maximum(total, jnp.finfo(wide).tiny)).sum(axis=3)  # [p, h, g, m, j]
    if dropout_keys is not None:
        part = (attention.shape[0] // dropout_keys.shape[0], *attention.shape[1:])
        kept = jax.vmap(lambda key: jax.random.bernoulli(key, 1.0 - dropout_rate, part))(dropout_keys)
        attention = jnp.where(kept.reshape(attention.shape), attention / (1.0 - dropout_rate), 0.0)
    out = jnp.einsum(f"phgmj,{key_axes}->pghd", attention.astype(value.dtype), value, preferred_element_type=wide)
    return out.astype(value.dtype)


def _expanded(pose_encoding: Array | None, pose_index: np.ndarray) -> Array | None:
    return None if pose_encoding is None else jnp.take(pose_encoding, pose_index, axis=0)


def _pad(array, radii: list[int]):
    """Adds a border of zeros around the leading axes."""
    widths = [(radius, radius) for radius in radii] + [(0, 0)] * (array.ndim - len(radii))
    return np.pad(array, widths) if isinstance(array, np.ndarray) else jnp.pad(array, widths)


def _windows(array: Array, window_shape: tuple[int, ...]) -> Array:
    """The windows `[positions, window, ...]` of an array whose leading axes are padded by the window's radii."""
    dim = len(window_shape)
    for axis, side in enumerate(window_shape):
        # Window axes collect behind the spatial axes; each axis by itself, so that d * side slices serve side^d offsets.
        length = array.shape[axis] - side + 1
        slices = [jax.lax.slice_in_dim(array, start, start + length, axis=axis) for start in range(side)]
        array = jnp.stack(slices, axis=dim + axis)
    return array.reshape(math.prod(array.shape[:dim]), math.prod(window_shape), *array.shape[2 * dim :])


def _scores_per_query(query: Array, position_encoding: Array, keys: int) -> int:
    poses, heads = query.shape[-3:-1]
    return position_encoding.shape[0] * poses * poses * heads * keys


def _block_sizes(units: int, scores_per_unit: int, batch: int, in_blocks: bool) -> tuple[int, int]:
    """How many rows (or positions) make a block, and how many samples are worked on together."""
    if not in_blocks:
        return units, batch
    budget = _SCORES_PER_STEP.get(jax.default_backend(), _SCORES_PER_STEP_GPU)
    fitting = max(1, budget // scores_per_unit)
    block = max(size for size in range(1, units + 1) if units % size == 0 and size <= fitting)
    return block, min(batch, max(1, fitting // units))


def _map_blocks(attend: Callable, firsts: np.ndarray, query: Array, keys: Array | None, *, in_blocks: bool) -> Array:
    blocks = len(firsts)
    split = [None if array is None else array.reshape(blocks, -1, *array.shape[1:]) for array in (query, keys)]
    if not in_blocks:
        return attend(0, query, keys)
    body = jax.checkpoint(lambda block: attend(*block), prevent_cse=blocks == 1)
    if blocks == 1:
        return body((0, query, keys))
    out = jax.lax.map(body, (jnp.asarray(firsts), *split))
    return out.reshape(-1, *out.shape[2:])


def _map_samples(attend_sample, query, key, value, dropout_key, units: int, samples_per_step: int) -> Array:
    batch = query.shape[0]
    # One key for each row (or position), so that the mask does not depend on how the work is cut into blocks.
    keys = None if dropout_key is None else jax.random.split(dropout_key, (batch, units))
    samples = (query, key, value, keys)
    if samples_per_step >= batch:
        return jax.vmap(attend_sample)(*samples)
    return jax.lax.map(lambda sample: attend_sample(*sample), samples, batch_size=samples_per_step)

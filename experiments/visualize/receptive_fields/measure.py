"""What a query of self-attention sees of the positional encoding, for every output pose: its receptive fields.

Reference: Romero & Cordonnier (2021), Figs. B.1 and B.2.
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from experiments import _steerability as steerability
from gequi_jax import actions, functional, groups, nn

FINE = 8  # points between which a function is drawn, to a position


@dataclasses.dataclass(frozen=True)
class Fields:
    """The part of one query's scores that is not content, in one layer and head.

        lifting     q . rho(h^-1 (x_j - x_i)) / sqrt(d)
        group       q . (rho(h^-1 (x_j - x_i)), tau[pose_index[h, h, b]]) / sqrt(d)

    The query pose a turns with the output pose, a = h, and the vector q is one for all h.

    Attributes:
      group: of the layer.
      head: the one whose field varies most.
      window: `[h, b, rows, columns]`, at the offsets of the window; in lifting there is one b.
      function: `[h, b, fine rows, fine columns]`, the same between them, to the borders of the outermost positions.
      turned_error: the largest over all h of |field_h(h x) - field_e(x)| / |field_e|, with b of h moved likewise: the
        encoding is evaluated at the turned offsets h x, so that nothing is interpolated.
      grid_error: the largest over all h, and over all k that map the grid to itself, of |field_kh - L_k field_h| /
        |field_h|: a permutation of what is read at the window's own offsets.
    """

    group: groups.FiniteGroup
    head: int
    window: np.ndarray
    function: np.ndarray
    turned_error: float
    grid_error: float


class FreshLayers(nnx.Module):
    """Lifting and group self-attention as initialised, with a smooth encoding and weights that make them look somewhere."""

    def __init__(self, group: groups.FiniteGroup, seed: int):
        options: dict[str, Any] = dict(group=group, num_heads=4, window_size=7, rngs=steerability.streams(seed))
        options |= dict(
            position_encoding=nn.FourierEncoding,
            kernel_init=nnx.initializers.variance_scaling(9.0, "fan_in", "normal"),
        )
        self.lifting = nn.LiftingSelfAttention(1, 8, qkv_features=6, **options)
        self.attention = nn.GroupSelfAttention(8, 8, qkv_features=9, **options)

    def __call__(self, images: jax.Array) -> jax.Array:
        return self.attention(self.lifting(images))


def receptive_fields(layer: Any, x: np.ndarray, position: tuple[int, int]) -> Fields:
    """The receptive fields of a layer of self-attention.

    Args:
      layer: lifting or group self-attention.
      x: its input, `[1, rows, columns, channels]` or `[1, rows, columns, group, channels]`.
      position: of the query; on the group its pose is the identity.
    """
    group, on_group = layer.group, isinstance(layer, nn.GroupSelfAttention)
    query = np.asarray(layer.query(jnp.asarray(x)))[0, position[0], position[1]]
    query = query[group.identity] if on_group else query  # [head, features]
    query = query / np.sqrt(query.shape[-1])
    shape = tuple(layer.window_size or 2 * side - 1 for side in x.shape[1:3])
    encodings = functional.transformed_position_encodings(
        layer.position_encoding, group=group, window_shape=shape, dtype=layer.param_dtype
    )
    poses = _pose_scores(layer, query) if on_group else np.zeros((len(query), group.order, 1))
    place = np.einsum("hjd,td->thj", encodings, query[:, : encodings.shape[-1]])
    fields = place[:, :, None] + poses[..., None]  # [head, h, b, offset]
    head = int(fields.std(axis=(1, 2, 3)).argmax())

    def score(points: jax.Array) -> jax.Array:
        """Of the place alone, at coordinates that the group has moved already."""
        encoded = layer.position_encoding(points)
        return encoded @ jnp.asarray(query[head, : encoded.shape[-1]], encoded.dtype)

    radius = max(max(shape) - 1, 1) / 2
    fine = actions.window_offsets([FINE * side for side in shape]) / FINE / radius
    function = score(jnp.asarray(actions.inverse_act_on_positions(group, fine), layer.param_dtype))
    window = fields[head].reshape(group.order, -1, *shape)
    offsets = jnp.asarray(actions.window_offsets(shape) / radius, layer.param_dtype)
    matrices = jnp.asarray(group.matrices, layer.param_dtype)
    # Read at h x, as the layer would: turned back by h^-1, in its own precision.
    returned = score(offsets @ matrices.transpose(0, 2, 1) @ matrices[group.inverses].transpose(0, 2, 1))
    poses_moved = poses[head][np.arange(group.order)[:, None], _to_moved(group, poses.shape[-1])]
    turned = np.asarray(returned)[:, None] + poses_moved[..., None]
    return Fields(
        group,
        head,
        window,
        np.asarray(function).reshape(group.order, 1, *(FINE * side for side in shape)) + poses[head][..., None, None],
        max(_relative(found, fields[head, group.identity]) for found in turned),
        grid_error(window, group),
    )


def grid_error(window: np.ndarray, group: groups.FiniteGroup) -> float:
    """How far fields `[h, b, rows, columns]` are from field_kh = L_k field_h, for all k that map the grid to itself.

    (L_k field_h)(x, b) = field_h(k^-1 x, k^-1 b)
    """
    largest = 0.0
    for k in actions.grid_preserving_elements(group):
        moved = np.asarray(actions.act_on_grid(k, window.reshape(-1, *window.shape[2:], 1), group=group))
        moved = moved.reshape(*window.shape[:2], *moved.shape[1:3])
        if window.shape[1] > 1:
            moved = moved[:, group.cayley_table[group.inverses[k]]]
        largest = max(largest, *(_relative(window[group.cayley_table[k, h]], moved[h]) for h in range(group.order)))
    return largest


def _pose_scores(layer: nn.GroupSelfAttention, query: np.ndarray) -> np.ndarray:
    """`[head, h, b]`."""
    rows = np.asarray(layer.pose_index(layer.group))
    every = np.arange(layer.group.order)
    poses = np.asarray(layer.pose_encoding[...])[rows[every, every]]  # [h, b, features]
    return np.einsum("hbd,td->thb", poses, query[:, query.shape[-1] - poses.shape[-1] :])


def _to_moved(group: groups.FiniteGroup, num_poses: int) -> np.ndarray:
    """`[h, b] -> h b`, or 0 where there is a single pose."""
    return group.cayley_table if num_poses > 1 else np.zeros((group.order, 1), int)


def _relative(found: np.ndarray, expected: np.ndarray) -> float:
    return float(np.linalg.norm(found - expected) / np.linalg.norm(expected))

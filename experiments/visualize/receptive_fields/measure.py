"""Measures the receptive fields of a query: its positional scores for every output pose, in one layer and head.

Reference: Romero & Cordonnier (2021), Figs. B.1 and B.2.
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from experiments.visualize.equivariance import transform_maps
from gequi_jax import actions, functional, groups, nn

FINE = 8  # points of the fine grid for each position


@dataclasses.dataclass(frozen=True)
class ReceptiveFields:
    """The scores of one query without their content term, in one layer and head.

        lifting     q . rho(h^-1 (x_j - x_i)) / sqrt(d)
        group       q . (rho(h^-1 (x_j - x_i)), tau[pose_index[h, h, b]]) / sqrt(d)

    The query pose equals the output pose, a = h, and the vector q is the same for all h.

    Attributes:
      group: of the layer.
      head: the one whose field varies most.
      window: `[h, b, rows, columns]`, at the offsets of the window; lifting has a single b.
      function: `[h, b, fine rows, fine columns]`, on a fine grid up to the borders of the outermost positions.
      rotation_error: the largest over all h of |field_h(h x) - field_e(x)| / |field_e|, with b transformed likewise; the
        encoding is evaluated at the transformed offsets h x, without interpolation.
      grid_error: the largest over all h, and over all k that map the grid to itself, of |field_kh - L_k field_h| /
        |field_h|, which compares permuted values at the offsets of the window.
    """

    group: groups.FiniteGroup
    head: int
    window: np.ndarray
    function: np.ndarray
    rotation_error: float
    grid_error: float


def receptive_fields(layer: Any, x: np.ndarray, position: tuple[int, int]) -> ReceptiveFields:
    """The receptive fields of a layer of self-attention.

    Args:
      layer: lifting or group self-attention.
      x: its input, `[1, rows, columns, channels]` or `[1, rows, columns, group, channels]`.
      position: of the query; on the group its pose is the identity.
    """
    group, window_shape = layer.group, tuple(layer.window_size or 2 * side - 1 for side in x.shape[1:3])
    query = _query(layer, x, position)
    poses = _pose_scores(layer, query)
    encodings = functional.transformed_position_encodings(
        layer.position_encoding, group=group, window_shape=window_shape, dtype=layer.param_dtype
    )
    places = np.einsum("hjd,td->thj", encodings, query[:, : encodings.shape[-1]])
    fields = places[:, :, None] + poses[..., None]  # [head, h, b, offset]
    head = int(fields.std(axis=(1, 2, 3)).argmax())
    score = _PlaceScore(layer, query[head], window_shape)
    window = fields[head].reshape(group.order, -1, *window_shape)
    return ReceptiveFields(
        group,
        head,
        window,
        score.on_fine_grid()[:, None] + poses[head][..., None, None],
        _rotation_error(fields[head, group.identity], score.at_rotated_offsets(), poses[head], group),
        grid_error(window, group),
    )


def grid_error(window: np.ndarray, group: groups.FiniteGroup) -> float:
    """The relative error of field_kh = L_k field_h for fields `[h, b, rows, columns]` and all k that preserve the grid.

    (L_k field_h)(x, b) = field_h(k^-1 x, k^-1 b)
    """
    largest, maps = 0.0, np.moveaxis(window, 1, -1)
    for k in actions.grid_preserving_elements(group):
        moved = transform_maps(k, maps, group, pose_axes=int(maps.shape[-1] > 1))
        largest = max(largest, *(_relative_error(maps[group.cayley_table[k, h]], moved[h]) for h in range(group.order)))
    return largest


class _PlaceScore:
    """The positional score of one query as a function of coordinates in [-1, 1]."""

    def __init__(self, layer: Any, query: np.ndarray, window_shape: tuple[int, ...]):
        self.layer, self.query, self.window_shape = layer, query, window_shape
        self.radius = max(max(window_shape) - 1, 1) / 2

    def __call__(self, points: jax.Array) -> jax.Array:
        encoded = self.layer.position_encoding(points)
        return encoded @ jnp.asarray(self.query[: encoded.shape[-1]], encoded.dtype)

    def on_fine_grid(self) -> np.ndarray:
        """`[h, fine rows, fine columns]`, at h^-1 x."""
        group, shape = self.layer.group, [FINE * side for side in self.window_shape]
        points = actions.inverse_act_on_positions(group, actions.window_offsets(shape) / FINE / self.radius)
        return np.asarray(self(jnp.asarray(points, self.layer.param_dtype))).reshape(group.order, *shape)

    def at_rotated_offsets(self) -> np.ndarray:
        """`[h, offset]`: the field of h at h x, evaluated as the layer does, at h^-1 (h x) in its own precision."""
        group, dtype = self.layer.group, self.layer.param_dtype
        offsets = jnp.asarray(actions.window_offsets(self.window_shape) / self.radius, dtype)
        matrices = jnp.asarray(group.matrices, dtype).transpose(0, 2, 1)
        return np.asarray(self(offsets @ matrices @ matrices[group.inverses]))


def _query(layer: Any, x: np.ndarray, position: tuple[int, int]) -> np.ndarray:
    """`[head, features]`, divided by the square root of the number of features."""
    query = np.asarray(layer.query(jnp.asarray(x)))[0, position[0], position[1]]
    query = query[layer.group.identity] if isinstance(layer, nn.GroupSelfAttention) else query
    return query / np.sqrt(query.shape[-1])


def _pose_scores(layer: Any, query: np.ndarray) -> np.ndarray:
    """`[head, h, b]`; zeros with a single b for a lifting layer."""
    elements = np.arange(layer.group.order)
    if not isinstance(layer, nn.GroupSelfAttention):
        return np.zeros((len(query), len(elements), 1))
    rows = np.asarray(layer.pose_index(layer.group))
    poses = np.asarray(layer.pose_encoding[...])[rows[elements, elements]]  # [h, b, features]
    return np.einsum("hbd,td->thb", poses, query[:, query.shape[-1] - poses.shape[-1] :])


def _rotation_error(
    identity_field: np.ndarray, places: np.ndarray, poses: np.ndarray, group: groups.FiniteGroup
) -> float:
    """Of places `[h, offset]` and poses `[h, b]` from the field of the identity, `[b, offset]`."""
    moved = group.cayley_table if poses.shape[-1] > 1 else np.zeros((group.order, 1), int)  # [h, b] -> h b
    fields = places[:, None] + poses[np.arange(group.order)[:, None], moved][..., None]
    return max(_relative_error(field, identity_field) for field in fields)


def _relative_error(array: np.ndarray, expected: np.ndarray) -> float:
    return float(np.linalg.norm(array - expected) / np.linalg.norm(expected))

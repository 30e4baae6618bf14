"""Positional encodings transformed by the group: once for each h, shared by batch, heads and positions."""

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np

from gequi_jax._typing import Array, Float
from gequi_jax.actions import inverse_act_on_positions, window_offsets
from gequi_jax.groups import FiniteGroup


def transformed_position_encodings(
    encode: Callable[[Float[Array, "window dim"]], Float[Array, "window features"]],
    *,
    group: FiniteGroup,
    window_shape: Sequence[int],
    dtype: jax.typing.DTypeLike = jnp.float32,
) -> Float[Array, "group window features"]:
    """Encodes the offsets of a window for every element of the group, by `jax.vmap` over the elements.

        L_h[rho](i, j) = rho(h^-1 (x_j - x_i))

    The offsets are divided by the largest radius of the window, so that the coordinates of an untransformed square
    window run from -1 to 1. The encoding is continuous: no element needs interpolation.

    Args:
      encode: the encoding rho, from coordinates to features.
      group: the group H.
      window_shape: the number of positions along each axis; for global attention `2 side - 1`, see
        `gequi_jax.actions.relative_positions`.
      dtype: the type of the coordinates.

    Returns:
      `[group, window, features]`, windows flattened in array order.

    Raises:
      ValueError: if the window does not have one side for each dimension of the group.

    Reference: Romero & Cordonnier (2021), Sec. 5.2 and "Efficient implementation" in Sec. 6.
    """
    if len(window_shape) != group.dim:
        raise ValueError(
            f"window_shape: expected {group.dim} sides, since {group.name} acts on {group.dim} dimensions; "
            f"got {tuple(window_shape)}."
        )
    radius = max(max(window_shape) - 1, 1) / 2
    coordinates = inverse_act_on_positions(group, window_offsets(window_shape)) / radius
    return jax.vmap(encode)(jnp.asarray(np.asarray(coordinates), dtype=dtype))

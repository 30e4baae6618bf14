"""Rotary encodings of positions seen from every frame."""

import jax
import jax.numpy as jnp
import numpy as np

from gequi_jax._typing import Array, Float
from gequi_jax.actions import inverse_act_on_positions
from gequi_jax.functional._types import wide_type
from gequi_jax.groups import FiniteGroup


def rotary_encoding(
    x: Float[Array, "batch *tokens group heads features"],
    frequencies: Float[Array, "distinct_heads pairs dim"],
    positions: Float[np.ndarray, "*places dim"],
    *,
    group: FiniteGroup,
) -> Float[Array, "batch *tokens group heads features"]:
    """Turns pairs of features by angles that are linear in the position seen from each frame.

        (y_f, y_{f+F}) = R(omega_f . h^-1 x) (x_f, x_{f+F}),  R(t) the rotation by t, F = features / 2

    R(s)^T R(t) = R(t - s), so the product of a query and a key that are both turned depends on their positions by
    h^-1 (x_j - x_i) alone, in any dimension and for any frequencies. Attention of these is therefore equivariant.

    Args:
      x: queries or keys, `[batch, *tokens, group, heads, features]`, with an even number of features.
      frequencies: omega, `[heads, features / 2, dim]`, in radians for each step of the grid. An input of a multiple of
        these heads, such as queries and keys side by side, repeats them.
      positions: the position of each token, such as `gequi_jax.actions.window_offsets` of the shape of a grid, which are
        its positions from its centre. A token without a position lies at the centre, 0.
      group: the group H.

    Returns:
      The same shape and type.

    Raises:
      ValueError: if shapes do not fit.

    Reference: Su et al. (2021), RoFormer; with frequencies of all coordinates together, Heo et al. (2024).
    """
    check_frequencies(x, frequencies, group)
    if positions.shape != (*x.shape[1:-3], group.dim):
        raise ValueError(
            f"positions: expected {(*x.shape[1:-3], group.dim)}, one position for each token; got {positions.shape}."
        )
    cos, sin = rotation(frequencies, positions, group=group, dtype=wide_type(x))
    cos, sin = (y[None, ..., None, :, :] for y in (cos, sin))  # [1, *tokens, group, 1, heads, pairs]
    repeated = x.reshape(*x.shape[:-2], -1, *frequencies.shape[:1], x.shape[-1])
    return turn(repeated, cos, sin, axis=-1).reshape(x.shape)


def check_frequencies(x: Array, frequencies: Array, group: FiniteGroup) -> None:
    """Checks frequencies for queries or keys `[..., heads, features]`.

    Raises:
      ValueError: if shapes do not fit.
    """
    heads, features = x.shape[-2:]
    if heads % frequencies.shape[0] or frequencies.shape[1:] != (features // 2, group.dim) or features % 2:
        raise ValueError(
            f"frequencies: expected [heads, features / 2, dim] for an even number of features; got shape "
            f"{frequencies.shape} for an input of shape {x.shape} and {group.name}, which acts on {group.dim} dimensions."
        )


def rotation(
    frequencies: Float[Array, "heads pairs dim"],
    positions: Float[np.ndarray, "*places dim"],
    *,
    group: FiniteGroup,
    dtype: jax.typing.DTypeLike,
    positions_last: bool = False,
) -> tuple[Array, Array]:
    """The cosine and the sine of every angle: `[*places, group, heads, pairs]`, or `[group, heads, pairs, *places]`."""
    seen = jnp.asarray(np.moveaxis(inverse_act_on_positions(group, positions), 0, -2), dtype)
    equation = "...gd,hfd->ghf..." if positions_last else "...gd,hfd->...ghf"
    return _cos_and_sin(jnp.einsum(equation, seen, frequencies.astype(dtype), precision="highest"))


def turn(x: Array, cos: Array, sin: Array, *, axis: int) -> Array:
    """Pairs of features along an axis, turned by angles of the same number of axes."""
    cos, sin = cos.astype(x.dtype), sin.astype(x.dtype)
    first, second = jnp.split(x, 2, axis=axis)
    return jnp.concatenate([cos * first - sin * second, sin * first + cos * second], axis=axis)


@jax.custom_jvp
def _cos_and_sin(angles: Array) -> tuple[Array, Array]:
    # XLA would compute them anew wherever they are read.
    return jax.lax.optimization_barrier((jnp.cos(angles), jnp.sin(angles)))


@_cos_and_sin.defjvp
def _cos_and_sin_jvp(primals: tuple[Array], tangents: tuple[Array]) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
    cos, sin = _cos_and_sin(*primals)
    return (cos, sin), (-sin * tangents[0], cos * tangents[0])

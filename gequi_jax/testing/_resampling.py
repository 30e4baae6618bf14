"""Equivariance to elements that map no grid to itself: how much of an error the interpolation of images explains.

The tolerance is derived, not chosen. Multilinear interpolation of a smooth f at a point p errs by

    I f(p) - f(p) = 1/2 sum_d s_d (1 - s_d) d^2 f / dx_d^2 (p) + higher orders,

where s_d is the fractional part of p along axis d, and central differences give the second derivatives. Both sides of
fn(L_g x) = L_g fn(x) are interpolated, the left one in front of fn, which carries the error through.
"""

from collections.abc import Callable, Sequence

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from gequi_jax.actions import grid_preserving_elements, window_offsets
from gequi_jax.groups import FiniteGroup
from gequi_jax.testing._spaces import ACTIONS, InputSpace, OutputSpace, check_spaces
from gequi_jax.testing._tolerances import tolerance_of

# Fourth over second differences of the roughest images that are smooth: about 9 pixels to a wave.
_ROUGHEST = 0.5


def resampling_errors(
    fn: Callable[[Array], Array],
    x: Array,
    *,
    group: FiniteGroup,
    input: InputSpace = "grid",
    output: OutputSpace = "feature_map",
    elements: Sequence[int] | None = None,
    margin: int | None = None,
) -> tuple[Float[np.ndarray, " elements"], Float[np.ndarray, " elements"]]:
    """The equivariance error of a function under each element, and the error that interpolation alone explains.

        measured(g) = |fn(L_g x) - L_g fn(x)| / |L_g fn(x)|
        explained(g) = ( |fn(L_g x + e(x)) - fn(L_g x)| + |e(fn(x))| ) / |L_g fn(x)|
        e(f) = 1/2 sum_d s_d (1 - s_d) L_g d^2 f / dx_d^2

    in Euclidean norms over the interior. An equivariant function of smooth images has measured at most explained, up to
    higher orders; a fault does not shrink as images grow smoother, e does.

    Args:
      fn: the function under test, deterministic.
      x: smooth images or feature maps, such as sums of waves no shorter than 9 pixels.
      group: the group H.
      input: how the group acts on the input, "grid" or "feature_map".
      output: how it acts on the output: the same two, or "invariant".
      elements: the indices of the elements to test; by default those that do not map the grid to itself.
      margin: positions that lie, or come from, less than this far from the border are not compared; half of the window
        of fn at least, a quarter of the smallest side by default.

    Returns:
      Measured and explained errors, one of each for each element.

    Raises:
      ValueError: if the images are too rough for their second differences to be derivatives, names are unknown, or no
        position is left to compare.

    Example:
      >>> from gequi_jax.groups import cyclic_group
      >>> waves = jnp.cos(0.3 * jnp.arange(24.0))[None, :, None, None] * jnp.ones((1, 1, 24, 1))
      >>> measured, explained = resampling_errors(jnp.exp, waves, group=cyclic_group(8), output="grid", elements=[1])
      >>> bool(measured < explained < 0.1)
      True
    """
    check_spaces(input, output)
    x = jnp.asarray(x)
    _check_smooth(x, group.dim)
    y = fn(x)
    pairs = []
    for element in _tested(group, elements):
        moved, error = _resampled(element, x, group, input)
        got = fn(moved)
        carried = fn(moved + error) - got
        if output == "invariant":
            expected, error = y, jnp.zeros_like(y)
            inside = np.ones((), bool)
        else:
            expected, error = _resampled(element, y, group, output)
            inside = _interior(element, y.shape[1 : 1 + group.dim], group, margin)
            inside = inside.reshape(1, *inside.shape, *(1,) * (y.ndim - 1 - group.dim))
        size = _norm(expected, inside)
        pairs.append((_norm(got - expected, inside) / size, (_norm(carried, inside) + _norm(error, inside)) / size))
    measured, explained = np.asarray(pairs).reshape(-1, 2).T
    return measured, explained


def assert_equivariant_but_for_resampling(
    fn: Callable[[Array], Array],
    x: Array,
    *,
    group: FiniteGroup,
    input: InputSpace = "grid",
    output: OutputSpace = "feature_map",
    elements: Sequence[int] | None = None,
    margin: int | None = None,
    factor: float = 2.0,
):
    """Asserts that the interpolation of images explains the whole equivariance error of a function.

    Pointwise functions, norms, pooling over poses and position-wise layers pass. A layer with a window is itself an
    approximation to finer rotations, on top of that of the images, and passes only where it is the better one.

    Args:
      fn: the function under test, deterministic.
      x: smooth images or feature maps, such as sums of waves no shorter than 9 pixels.
      group: the group H.
      input: how the group acts on the input, "grid" or "feature_map".
      output: how it acts on the output: the same two, or "invariant".
      elements: the indices of the elements to test; by default those that do not map the grid to itself.
      margin: positions that lie, or come from, less than this far from the border are not compared; half of the window
        of fn at least, a quarter of the smallest side by default.
      factor: the largest ratio of measured to explained error that is allowed; it accounts for the higher orders.

    Raises:
      AssertionError: if an element exceeds factor times the explained error by more than round-off.
      ValueError: if the images are too rough for their second differences to be derivatives, names are unknown, or no
        position is left to compare.
    """
    tested = _tested(group, elements)
    options = {"group": group, "input": input, "output": output, "elements": tested, "margin": margin}
    measured, explained = resampling_errors(fn, x, **options)
    limits = factor * explained + tolerance_of(x)
    # A comparison that NaN fails.
    failing = np.flatnonzero(~(measured <= limits))
    if failing.size:
        worst = failing[np.nan_to_num(measured[failing] / limits[failing], nan=np.inf).argmax()]
        raise AssertionError(
            f"not equivariant to {group.name}: element {tested[worst]} has relative error {measured[worst]:.2e}, of which "
            f"the interpolation of images explains {explained[worst]:.2e}; {failing.size} of the {len(tested)} elements "
            f"tested fail ({input} -> {output})."
        )


def _tested(group: FiniteGroup, elements: Sequence[int] | None) -> list[int]:
    if elements is not None:
        return list(elements)
    exact = grid_preserving_elements(group)
    return [element for element in range(group.order) if element not in exact]


def _resampled(element: int, f: Array, group: FiniteGroup, kind: str) -> tuple[Array, Array]:
    """L_g f by interpolation, and the leading order of its error."""
    moved = ACTIONS[kind](element, f, group=group)
    if element in grid_preserving_elements(group):
        return moved, jnp.zeros_like(moved)
    shape = f.shape[1 : 1 + group.dim]
    source = _sources(element, shape, group) + (np.asarray(shape) - 1) / 2
    fraction = source - np.floor(source)
    error = jnp.zeros_like(moved)
    for axis in range(group.dim):
        weight = jnp.asarray((fraction * (1 - fraction) / 2)[:, axis], f.dtype)
        weight = weight.reshape(1, *shape, *(1,) * (f.ndim - 1 - group.dim))
        error = error + weight * ACTIONS[kind](element, _second_difference(f, 1 + axis), group=group)
    return moved, error


def _sources(element: int, shape: tuple[int, ...], group: FiniteGroup) -> Float[np.ndarray, "positions dim"]:
    """g^-1 x for every position x, about the centre."""
    return window_offsets(shape) @ np.linalg.inv(group.matrices[element]).T


def _second_difference(f: Array, axis: int) -> Array:
    """f(x + 1) - 2 f(x) + f(x - 1), and 0 at both ends."""
    inner = jnp.diff(f, n=2, axis=axis)
    return jnp.pad(inner, [(1, 1) if index == axis else (0, 0) for index in range(f.ndim)])


def _interior(element: int, shape: tuple[int, ...], group: FiniteGroup, margin: int | None) -> Bool[np.ndarray, "..."]:
    """The positions that lie within the margin, and come from there."""
    margin = min(shape) // 4 if margin is None else margin
    half = (np.asarray(shape) - 1) / 2 - margin
    both = np.stack([window_offsets(shape), _sources(element, shape, group)])
    inside = (np.abs(both) <= half).all(axis=(0, 2))
    if not inside.any():
        raise ValueError(f"margin: {margin} leaves no position of a map of shape {shape}; use larger images.")
    return inside.reshape(shape)


def _check_smooth(x: Array, dim: int):
    smooth, rough = (
        np.sqrt(sum(float(jnp.square(jnp.diff(x, n=order, axis=axis)).sum()) for axis in range(1, 1 + dim)))
        for order in (2, 4)
    )
    if rough > _ROUGHEST * smooth:
        raise ValueError(
            f"x: the error of interpolation is known for smooth images only; fourth differences are {rough / smooth:.1f} "
            f"times the second ones, and {_ROUGHEST} is the most. Use waves of 9 pixels or longer, or blur the images."
        )


def _norm(values: Array, inside: Bool[np.ndarray, "..."]) -> float:
    return float(np.linalg.norm(np.where(inside, np.asarray(values, np.float64), 0.0)))

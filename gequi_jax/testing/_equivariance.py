"""Relative equivariance errors, one for each element, and assertions on them."""

from collections.abc import Callable, Sequence

import chex
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from numpy.typing import ArrayLike

from gequi_jax.actions import grid_preserving_elements
from gequi_jax.groups import FiniteGroup
from gequi_jax.testing._compiled import compiled
from gequi_jax.testing._spaces import ACTIONS, InputSpace, OutputSpace, check_spaces
from gequi_jax.testing._tolerances import tolerance_of


def equivariance_errors(
    fn: Callable[[Array], Array],
    x: Array,
    *,
    group: FiniteGroup,
    input: InputSpace = "grid",
    output: OutputSpace = "feature_map",
    elements: Sequence[int] | None = None,
) -> Float[np.ndarray, " elements"]:
    """How far a function is from commuting with each element of a group.

        error(g) = |fn(L_g x) - L_g fn(x)| / |L_g fn(x)|,  Euclidean norms over all entries

    An element that does not map the grid to itself is applied by interpolation, whose own error is then part of the
    result: use smooth images that vanish near the border, and compare functions with each other instead of with 0.

    Args:
      fn: the function under test, deterministic: a layer or a model in `eval()` mode. An NNX module
        runs as one compiled program; wrap other functions in `jax.jit`.
      x: one batch of inputs.
      group: the group.
      input: how the group acts on the input: "grid" for `[batch, *spatial, channels]`, or "feature_map" for
        `[batch, *spatial, group, channels]`.
      output: how it acts on the output: the same two, or "invariant" for an output that must not change.
      elements: the indices of the elements to test; all by default.

    Returns:
      One relative error for each element: NaN where the output is not finite, infinity where L_g fn(x) alone is 0.

    Raises:
      ValueError: if the names or shapes do not fit the group, or the output has another shape for a transformed input.

    Example:
      >>> from gequi_jax.groups import cyclic_group
      >>> errors = equivariance_errors(jnp.cos, jnp.ones((1, 4, 4, 1)), group=cyclic_group(4), output="grid")
      >>> errors.tolist()
      [0.0, 0.0, 0.0, 0.0]
    """
    check_spaces(input, output)
    # Transformed by NumPy: a program for each element would compile for much longer than it runs.
    run = compiled(fn)
    image, y = np.asarray(x), np.asarray(run(x))
    errors = []
    for element in range(group.order) if elements is None else elements:
        expected = ACTIONS[output](element, y, group=group)
        got = run(jnp.asarray(ACTIONS[input](element, image, group=group)))
        if jnp.shape(got) != jnp.shape(expected):
            raise ValueError(
                f"output: element {element} of {group.name} should give an output of shape {jnp.shape(expected)}, but it "
                f"is {jnp.shape(got)}; is the output really a {output!r}?"
            )
        errors.append(relative_error(got, expected))
    return np.asarray(errors)


def assert_equivariant(
    fn: Callable[[Array], Array],
    x: Array,
    *,
    group: FiniteGroup,
    input: InputSpace = "grid",
    output: OutputSpace = "feature_map",
    elements: Sequence[int] | None = None,
    rtol: float | None = None,
):
    """Asserts that a function commutes with the group: fn(L_g x) = L_g fn(x).

    Args:
      fn: the function under test, deterministic: a layer or a model in `eval()` mode. An NNX module
        runs as one compiled program; wrap other functions in `jax.jit`.
      x: one batch of inputs.
      group: the group.
      input: how the group acts on the input: "grid" for `[batch, *spatial, channels]`, or "feature_map" for
        `[batch, *spatial, group, channels]`.
      output: how it acts on the output: the same two, or "invariant" for an output that must not change.
      elements: the indices of the elements to test; by default those that map the grid to itself, for which equivariance
        is exact.
      rtol: the largest relative error allowed; by default `tolerance` for the dtype and the platform of x.

    Raises:
      AssertionError: if an element exceeds the tolerance; the message names the worst element, its error and the
        tolerance.
      ValueError: if the names or shapes do not fit the group, or the output has another shape for a transformed input.
    """
    tested = grid_preserving_elements(group) if elements is None else list(elements)
    limit = tolerance_of(x) if rtol is None else rtol
    errors = equivariance_errors(fn, x, group=group, input=input, output=output, elements=tested)
    chex.assert_tree_all_finite(errors)
    worst = int(errors.argmax())
    if errors[worst] > limit:
        failing = int((errors > limit).sum())
        raise AssertionError(
            f"not equivariant to {group.name}: element {tested[worst]} has relative error {errors[worst]:.2e}, above the "
            f"tolerance {limit:.0e}; {failing} of the {len(tested)} elements tested fail ({input} -> {output}).\n"
            f"matrix of element {tested[worst]}:\n{group.matrices[tested[worst]]}"
        )


def assert_invariant(
    fn: Callable[[Array], Array],
    x: Array,
    *,
    group: FiniteGroup,
    input: InputSpace = "grid",
    elements: Sequence[int] | None = None,
    rtol: float | None = None,
):
    """Asserts that the group does not change the output of a function: fn(L_g x) = fn(x).

    Args:
      fn: the function under test, deterministic: a layer or a model in `eval()` mode. An NNX module
        runs as one compiled program; wrap other functions in `jax.jit`. Its output may have any shape.
      x: one batch of inputs.
      group: the group.
      input: how the group acts on the input: "grid" for `[batch, *spatial, channels]`, or "feature_map" for
        `[batch, *spatial, group, channels]`.
      elements: the indices of the elements to test; by default those that map the grid to itself, for which invariance is
        exact.
      rtol: the largest relative error allowed; by default `tolerance` for the dtype and the platform of x.

    Raises:
      AssertionError: if an element exceeds the tolerance; the message names the worst element, its error and the
        tolerance.
      ValueError: if the name or the shape of the input does not fit the group.
    """
    assert_equivariant(fn, x, group=group, input=input, output="invariant", elements=elements, rtol=rtol)


def relative_error(got: ArrayLike, expected: ArrayLike) -> float:
    """|got - expected| / |expected| in Euclidean norms: infinity for another shape, 0 if both are 0."""
    got, expected = np.asarray(got, np.float64), np.asarray(expected, np.float64)
    if got.shape != expected.shape:
        return np.inf
    with np.errstate(divide="ignore", invalid="ignore"):
        difference, norm = np.linalg.norm((got - expected).ravel()), np.linalg.norm(expected.ravel())
        # An output of zeros is equivariant, if it stays zeros.
        return 0.0 if difference == norm == 0.0 else float(difference / norm)

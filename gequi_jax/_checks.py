"""Checks of arguments at the public boundary: sizes, words, groups and the axes of arrays, each with one message.

Every check raises `ValueError` with the argument, what was expected and what it got; those of numbers return the plain
`int`, so that NumPy's integers may be given wherever Python's are.
"""

import difflib
import operator
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from gequi_jax._typing import Array

if TYPE_CHECKING:
    from gequi_jax.groups import FiniteGroup

_SPATIAL_AXES = {1: "length", 2: "rows, columns", 3: "depth, rows, columns"}


def check_positive_integer(argument: str, value: Any) -> int:
    """The value as an `int` of at least 1, from any integer type.

    Raises:
      ValueError: if it is not a positive integer.
    """
    return _checked_integer(argument, value, smallest=1, kind="a positive integer")


def check_non_negative_integer(argument: str, value: Any) -> int:
    """The value as an `int` of at least 0, from any integer type.

    Raises:
      ValueError: if it is not an integer of at least 0.
    """
    return _checked_integer(argument, value, smallest=0, kind="an integer of at least 0")


def check_rate(argument: str, value: float) -> float:
    """The value as a number in [0, 1), such as a dropout rate.

    Raises:
      ValueError: if it is not.
    """
    if not 0.0 <= value < 1.0:
        raise ValueError(f"{argument}: expected a number of at least 0 and below 1; got {value!r}.")
    return value


def check_choice(argument: str, value: Any, choices: Iterable[str]) -> None:
    """Checks that a word is one of the choices.

    Raises:
      ValueError: if it is not; the message lists the choices and the words that are spelled most like it.
    """
    choices = list(choices)
    if value not in choices:
        near = difflib.get_close_matches(str(value), choices, n=3, cutoff=0.6)
        hint = f" Did you mean {' or '.join(map(repr, near))}?" if near else ""
        raise ValueError(f"{argument}: expected one of {', '.join(map(repr, choices))}; got {value!r}.{hint}")


def check_index(argument: str, value: Iterable[Any], shape: tuple[int, ...]) -> tuple[int, ...]:
    """An index into an array of a given shape, as a tuple of `int`.

    Raises:
      ValueError: if it does not have an integer from 0 to side - 1 for each axis.
    """
    index = tuple(value)
    if len(index) != len(shape) or not all(
        _is_integer(entry) and 0 <= entry < side for entry, side in zip(index, shape, strict=True)
    ):
        raise ValueError(f"{argument}: expected an index for each axis, from 0 to side - 1 of {shape}; got {index}.")
    return tuple(int(entry) for entry in index)


def check_group(group: Any) -> None:
    """Checks that a layer was given a group.

    Raises:
      ValueError: if not, with how to make one.
    """
    from gequi_jax.groups import FiniteGroup

    if not isinstance(group, FiniteGroup):
        raise ValueError(
            f"group: expected a FiniteGroup, such as gequi_jax.groups.group_by_name('p4m'); got {group!r}."
        )


def check_element(element: Any, group: "FiniteGroup") -> int:
    """The index of a group element as an `int`.

    Raises:
      ValueError: if it is not the index of an element of the group.
    """
    if not isinstance(element, int | np.integer) or not 0 <= element < group.order:
        raise ValueError(f"element: expected an index from 0 to {group.order - 1} of {group.name}; got {element!r}.")
    return int(element)


def check_spatial_axes(x: Array | np.ndarray, group: "FiniteGroup", *, other_axes: tuple[str, ...]) -> None:
    """Checks that an array has as many spatial axes as the group has dimensions, besides the axes named.

    Raises:
      ValueError: if not; the message names the axes expected.
    """
    if x.ndim != group.dim + len(other_axes):
        before, *after = other_axes
        spatial = _SPATIAL_AXES.get(group.dim, f"{group.dim} spatial axes")
        raise ValueError(
            f"input: expected an array [{', '.join([before, spatial, *after])}] of {group.dim + len(other_axes)} axes, "
            f"since {group.name} acts on {group.dim} spatial dimensions; got shape {x.shape}."
        )


def check_group_axis(x: Array | np.ndarray, group: "FiniteGroup", *, axis: int) -> None:
    """Checks the size of a group axis.

    Raises:
      ValueError: if it is not the order of the group.
    """
    if x.shape[axis] != group.order:
        raise ValueError(
            f"input: expected a group axis of size {group.order}, one entry for each element of {group.name}, at "
            f"position {axis} of [batch, *spatial, group, channels]; got shape {x.shape}. "
            "A lifting layer makes such a feature map from an image."
        )


def check_components(x: Array | np.ndarray, group: "FiniteGroup", *, rank: int) -> None:
    """Checks that the last axes of a field hold the components of vectors (rank 1) or tensors (rank 2).

    Raises:
      ValueError: if not; the message names the axes expected.
    """
    if x.ndim < 1 + group.dim + rank or x.shape[-rank:] != (group.dim,) * rank:
        spatial = _SPATIAL_AXES.get(group.dim, f"{group.dim} spatial axes")
        components = ", ".join([str(group.dim)] * rank)
        raise ValueError(
            f"input: expected a field [batch, {spatial}, ..., {components}] with {group.dim} components on each of the "
            f"last {rank} axes, since {group.name} acts on {group.dim} dimensions; got shape {x.shape}."
        )


def check_channels(layer: str, x: Array, in_features: int) -> None:
    """Checks the last axis of an input against the `in_features` of a layer.

    Raises:
      ValueError: if they differ.
    """
    if x.shape[-1] != in_features:
        raise ValueError(
            f"{layer}: expected {in_features} input channels (in_features) on the last axis; got shape {x.shape}."
        )


def check_window(window_size: Any, spatial_shape: tuple[int, ...] | None = None) -> int:
    """The odd side of a window as an `int`, small enough that a grid can fill it.

    Raises:
      ValueError: if the side is even or below 1, or larger than `2 side - 1` of a side of the grid.
    """
    if not _is_integer(window_size) or window_size < 1 or window_size % 2 == 0:
        nearby = f", such as {window_size - 1} or {window_size + 1}" if _is_integer(window_size) else ""
        raise ValueError(
            f"window_size: expected an odd positive integer, so that the window has a centre{nearby}, or None for "
            f"global attention; got {window_size!r}."
        )
    if spatial_shape is not None and window_size > 2 * min(spatial_shape) - 1:
        raise ValueError(
            f"window_size: a window of side {window_size} is larger than a grid of shape {spatial_shape} can fill; "
            f"use at most {2 * min(spatial_shape) - 1}, or None for global attention."
        )
    return int(window_size)


def check_window_shape(
    window_size: Any, group: "FiniteGroup", spatial_shape: tuple[int, ...] | None = None
) -> tuple[int, ...]:
    """The odd sides of a window, one for each axis, from one side for all axes or from a sequence of sides.

    Raises:
      ValueError: if a side is even or below 1, or larger than `2 side - 1` of the side of the grid, if the number of sides
        is not the dimension of the group, or if an element of the group does not map the window to itself.
    """
    if _is_integer(window_size) or not isinstance(window_size, Iterable):
        return (check_window(window_size, spatial_shape),) * group.dim
    sides = tuple(window_size)
    if len(sides) != group.dim:
        raise ValueError(
            f"window_size: expected one side, or {group.dim} sides, since {group.name} acts on {group.dim} dimensions; "
            f"got {sides!r}."
        )
    grids = [None] * group.dim if spatial_shape is None else [(length,) for length in spatial_shape]
    window_shape = tuple(check_window(side, grid) for side, grid in zip(sides, grids, strict=True))
    check_shape_is_symmetric("window_size", window_shape, group)
    return window_shape


def check_shape_is_symmetric(argument: str, shape: tuple[int, ...], group: "FiniteGroup") -> None:
    """Checks that a box of these sides is mapped to itself by every element that exchanges or mixes axes.

    An element may mix axes of equal sides only. A rotation by 45 degrees also moves the corners of a square; that is an
    approximation, which is allowed.

    Raises:
      ValueError: if an element mixes axes of different sides; the message names both and a shape that works.
    """
    for element, matrix in enumerate(group.matrices):
        for target, source in zip(*np.nonzero(np.abs(matrix) > 1e-6), strict=True):
            if shape[target] != shape[source]:
                longer = max(shape[target], shape[source])
                working = tuple(longer if axis in (target, source) else side for axis, side in enumerate(shape))
                raise ValueError(
                    f"{argument}: {shape} is not mapped to itself by element {element} of {group.name}, which exchanges "
                    f"or mixes axes {min(target, source)} and {max(target, source)}; got sides {shape[target]} and "
                    f"{shape[source]} there. Use equal sides on these axes, such as {working}, or a group that keeps "
                    "them apart, such as mirror_group()."
                )


def _is_integer(value: Any) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def _checked_integer(argument: str, value: Any, *, smallest: int, kind: str) -> int:
    try:
        integer = operator.index(value)
    except TypeError:
        integer = None
    if integer is None or isinstance(value, bool | np.bool) or integer < smallest:
        raise ValueError(f"{argument}: expected {kind}; got {value!r}.")
    return integer

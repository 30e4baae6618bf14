"""Kernels and windows as static parts of a layer."""

from collections.abc import Callable, Iterable, Sequence

import numpy as np

from gequi_jax._checks import check_positive_integer, check_shape_is_symmetric
from gequi_jax._typing import Bool
from gequi_jax.functional import WindowMask
from gequi_jax.groups import FiniteGroup

# What a module keeps of a mask: a function, or the entries of an array, which are hashable.
StaticMask = Callable[[tuple[int, ...]], Bool[np.ndarray, "..."]] | tuple[bool, ...]


def check_kernel_shape(
    kernel_size: int | Sequence[int], group: FiniteGroup, *, allow_inequivariant: bool
) -> tuple[int, ...]:
    """The sides of a kernel, one for each axis, from one side for all axes or from a sequence of sides.

    Raises:
      ValueError: if a side is not positive, if the number of sides is not the dimension of the group, or if the group
        exchanges axes of different sides and `allow_inequivariant` is not set.
    """
    if not isinstance(kernel_size, Iterable):
        return (check_positive_integer("kernel_size", kernel_size),) * group.dim
    shape = tuple(check_positive_integer("kernel_size", side) for side in kernel_size)
    if len(shape) != group.dim:
        raise ValueError(
            f"kernel_size: expected one side, or {group.dim} sides, since {group.name} acts on {group.dim} dimensions; "
            f"got {shape!r}."
        )
    if not allow_inequivariant:
        check_shape_is_symmetric("kernel_size", shape, group)
    return shape


def as_given(size: int | Sequence[int], shape: tuple[int, ...]) -> int | tuple[int, ...]:
    """The checked sides in the form in which a caller gave them: one for all axes, or one for each."""
    return shape if isinstance(size, Iterable) else shape[0]


def static_mask(window_mask: WindowMask | None) -> StaticMask | None:
    """A mask in a form that a module can keep."""
    if window_mask is None or callable(window_mask):
        return window_mask
    return tuple(bool(entry) for entry in np.ravel(window_mask))


def mask_of(window_mask: StaticMask | None) -> WindowMask | None:
    """A mask in the form that the functions take."""
    return np.asarray(window_mask) if isinstance(window_mask, tuple) else window_mask

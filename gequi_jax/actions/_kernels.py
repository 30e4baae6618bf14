"""The action on convolution kernels: all |H| transformed copies of a kernel, by one operator.

The operator is an index array where the group maps the window to itself and an interpolation matrix elsewhere. It is
derived from the matrices of the group while a program is traced, so it costs nothing when the program runs.
"""

import itertools

import jax.numpy as jnp
import numpy as np

from gequi_jax._typing import Array, Float
from gequi_jax.actions._positions import inverse_act_on_positions, inverse_permutations, window_offsets
from gequi_jax.groups import FiniteGroup


def transform_kernel(
    kernel: Float[Array, "*window in_features out_features"], *, group: FiniteGroup
) -> Float[Array, "group *window in_features out_features"]:
    """The copies of a kernel on R^d transformed by every element of the group.

        (L_h psi)(x) = psi(h^-1 x)

    Exact where h maps the window to itself, multilinear interpolation with zeros outside the window elsewhere.

    Args:
      kernel: a kernel on R^d, such as that of a lifting convolution.
      group: the group, of the dimension of the window.

    Raises:
      ValueError: if the kernel does not have `group.dim + 2` axes.
    """
    if kernel.ndim != group.dim + 2:
        raise ValueError(
            f"kernel: expected [*window, in_features, out_features] with {group.dim} window axes for {group.name}; "
            f"got shape {kernel.shape}."
        )
    return _apply(kernel, group, on_group=False)


def transform_group_kernel(
    kernel: Float[Array, "*window group in_features out_features"], *, group: FiniteGroup
) -> Float[Array, "out_group *window group in_features out_features"]:
    """The copies of a kernel on the group transformed by every element of the group.

        (L_h psi)(x, m) = psi(h^-1 x, h^-1 m)

    Args:
      kernel: a kernel on G, with one slice for each pose m.
      group: the group, of the dimension of the window.

    Raises:
      ValueError: if the kernel does not have `group.dim + 3` axes or its group axis is not of size |H|.
    """
    if kernel.ndim != group.dim + 3 or kernel.shape[-3] != group.order:
        raise ValueError(
            f"kernel: expected [*window, group, in_features, out_features] with {group.dim} window axes and a group axis "
            f"of size {group.order} for {group.name}; got shape {kernel.shape}."
        )
    return _apply(kernel, group, on_group=True)


def _apply(kernel: Array, group: FiniteGroup, *, on_group: bool) -> Array:
    window_shape = kernel.shape[: group.dim]
    offsets = window_offsets(window_shape)
    index, preserved = inverse_permutations(group, offsets)
    poses = group.order if on_group else 1
    source_pose = group.cayley_table[group.inverses] if on_group else np.zeros((group.order, 1), np.int64)
    if preserved.all():
        flat = kernel.reshape(len(offsets) * poses, *kernel.shape[-2:])
        flat_index = index[:, :, None] * poses + source_pose[:, None, :]
        moved = jnp.take(flat, flat_index.reshape(group.order, -1), axis=0)
    else:
        weights = _interpolation_matrices(inverse_act_on_positions(group, offsets), window_shape)
        flat = kernel.reshape(len(offsets), poses, *kernel.shape[-2:])
        by_pose = jnp.moveaxis(jnp.take(flat, source_pose, axis=1), 1, 0)  # [group, window, pose, in, out]
        moved = jnp.einsum("hjk,hkmio->hjmio", jnp.asarray(weights, kernel.dtype), by_pose, precision="highest")
    return moved.reshape(group.order, *kernel.shape)


def _interpolation_matrices(positions: np.ndarray, window_shape: tuple[int, ...]) -> np.ndarray:
    """Multilinear weights `[group, target, source]` that read a window at the given offsets from its centre."""
    order, size, dim = positions.shape
    coordinates = positions + (np.asarray(window_shape) - 1) / 2
    lower = np.floor(coordinates + 1e-9).astype(np.int64)
    fraction = coordinates - lower
    weights = np.zeros((order, size, size))
    h, j = np.ogrid[:order, :size]
    for corner in itertools.product((0, 1), repeat=dim):
        cell = lower + np.asarray(corner)
        weight = np.where(np.asarray(corner) == 1, fraction, 1 - fraction).prod(axis=-1)
        inside = ((cell >= 0) & (cell < np.asarray(window_shape))).all(axis=-1)
        clipped = np.clip(cell, 0, np.asarray(window_shape) - 1)
        source = np.ravel_multi_index(tuple(np.moveaxis(clipped, -1, 0)), window_shape)
        np.add.at(weights, (h, j, source), np.where(inside, weight, 0.0))
    return weights

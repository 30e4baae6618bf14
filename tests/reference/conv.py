"""Lifting and group convolution, one multiplication at a time."""

import itertools

import numpy as np

from tests.reference.actions import find, positions


def lifting_conv(group, x, kernel):
    """y(x, h) = sum_c sum_y f_c(y) psi_c(h^-1 (y - x)); `x` is `[*spatial, in]`, `kernel` `[*window, in, out]`."""
    dim = group.dim
    out = np.zeros((*x.shape[:dim], group.order, kernel.shape[-1]))
    for (i, at), (j, key_at), h in _pairs(group, x):
        tap = kernel_index(np.linalg.solve(group.matrices[h], key_at - at), kernel.shape[:dim])
        if tap is not None:
            out[i][h] += x[j] @ kernel[tap]
    return out


def group_conv(group, x, kernel):
    """y(x, h) = sum_c sum_m sum_y f_c(y, m) psi_c(h^-1 (y - x), h^-1 m); `kernel` is `[*window, group, in, out]`."""
    dim = group.dim
    out = np.zeros((*x.shape[:dim], group.order, kernel.shape[-1]))
    for (i, at), (j, key_at), h in _pairs(group, x):
        tap = kernel_index(np.linalg.solve(group.matrices[h], key_at - at), kernel.shape[:dim])
        if tap is None:
            continue
        for m in range(group.order):
            pose = find(group, np.linalg.solve(group.matrices[h], group.matrices[m]))
            out[i][h] += x[j][m] @ kernel[tap][pose]
    return out


def group_conv_transpose(group, x, kernel, out_shape, *, strides, padding):
    """y(y, m) = sum_c sum_h sum_x f_c(x, h) psi_c(h^-1 (y - x), h^-1 m), with input i at `strides * i - padding` from the
    first output, plus half of the window; `kernel` is `[*window, group, in, out]`."""
    window = kernel.shape[: group.dim]
    out = np.zeros((*out_shape, group.order, kernel.shape[-1]))
    for i, _ in positions(x.shape[: group.dim]):
        at = strides * np.asarray(i) - padding + (np.asarray(window) - 1) / 2
        for (j, _), h in itertools.product(positions(out_shape), range(group.order)):
            tap = kernel_index(np.linalg.solve(group.matrices[h], j - at), window)
            if tap is None:
                continue
            for m in range(group.order):
                pose = find(group, np.linalg.solve(group.matrices[h], group.matrices[m]))
                out[j][m] += x[i][h] @ kernel[tap][pose]
    return out


def kernel_index(offset, window_shape):
    """The index of an offset in a kernel, None outside of it."""
    index = np.round(offset + (np.asarray(window_shape) - 1) / 2).astype(int)
    inside = (index >= 0).all() and (index < np.asarray(window_shape)).all()
    return tuple(index) if inside else None


def _pairs(group, x):
    grid = positions(x.shape[: group.dim])
    return ((query, key, h) for query in grid for key in grid for h in range(group.order))

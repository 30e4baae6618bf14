"""The action on images and feature maps, one position at a time."""

import itertools

import numpy as np


def positions(spatial_shape):
    """Each index of a grid and its position from the centre."""
    centre = (np.asarray(spatial_shape) - 1) / 2
    return [(index, np.asarray(index) - centre) for index in itertools.product(*map(range, spatial_shape))]


def act_on_grid(matrix, x, spatial_shape):
    """(L_h f)(x) = f(h^-1 x) on a square grid; `x` is `[*spatial, channels]`."""
    centre = (np.asarray(spatial_shape) - 1) / 2
    out = np.zeros_like(x)
    for index, position in positions(spatial_shape):
        source = np.linalg.solve(matrix, position) + centre
        out[index] = x[tuple(np.round(source).astype(int))]
    return out


def act_on_feature_map(group, element, x):
    """(L_g f)(x, h) = f(g^-1 x, g^-1 h); `x` is `[*spatial, group, channels]`."""
    out = np.zeros_like(x)
    matrix = group.matrices[element]
    for h in range(group.order):
        source = find(group, np.linalg.solve(matrix, group.matrices[h]))
        out[..., h, :] = act_on_grid(matrix, x[..., source, :], x.shape[: group.dim])
    return out


def find(group, matrix):
    """The index of a matrix in a group."""
    (found,) = np.flatnonzero(np.abs(group.matrices - matrix).max(axis=(1, 2)) < 1e-6)
    return found

"""Pooling over cosets and restriction of poses, written from their equations with matrices of elements."""

import itertools

import numpy as np


def index_of(group, matrix) -> int:
    return int(np.abs(group.matrices - matrix).max(axis=(1, 2)).argmin())


def coset_pool(x, group, subgroup, representatives, reduce):
    """y(x, r K) = reduce over k in K of f(x, r k), for the given representatives r."""
    poses = []
    for r in representatives:
        entries = [x[..., index_of(group, group.matrices[r] @ k), :] for k in subgroup.matrices]
        poses.append(reduce(entries, axis=0))
    return np.stack(poses, axis=-2)


def restrict_poses(x, group, subgroup, representatives):
    """y(x, k, (c, i)) = f_c(x, k r_i)."""
    cosets = len(representatives)
    y = np.zeros((*x.shape[:-2], subgroup.order, x.shape[-1] * cosets), x.dtype)
    sizes = (range(subgroup.order), enumerate(representatives), range(x.shape[-1]))
    for k, (i, r), c in itertools.product(*sizes):
        y[..., k, c * cosets + i] = x[..., index_of(group, subgroup.matrices[k] @ group.matrices[r]), c]
    return y

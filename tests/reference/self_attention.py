"""Lifting and group self-attention by loops over everything, in NumPy and float64."""

import itertools

import numpy as np


def lifting_self_attention(query, key, value, position_encoding, *, group, window_size, window_mask=None, scale):
    """Romero & Cordonnier (2021), Eq. 14; arrays `[batch, *spatial, heads, features]`."""
    out = np.zeros((*query.shape[:-2], group.order, query.shape[-2], value.shape[-1]))
    for n, i, h, head in outputs(query.shape, group):
        scores, values = [], []
        for j, offset in keys_of(i, query.shape[1 : 1 + group.dim], window_size, window_mask):
            rho = position_encoding[h, offset]
            scores.append(scale * (query[n, *i, head] @ key[n, *j, head] + query[n, *i, head, : len(rho)] @ rho))
            values.append(value[n, *j, head])
        out[n, *i, h, head] = softmax(scores) @ np.asarray(values) if values else 0.0
    return out


def group_self_attention(
    query, key, value, position_encoding, pose_encoding, *, group, pose_index, window_size, window_mask=None, scale
):
    """Romero & Cordonnier (2021), Eq. 16, with the pose encoding `pose_encoding[pose_index[h, a, b]]`."""
    out = np.zeros((*query.shape[:-1], value.shape[-1]))
    poses = range(group.order)
    for n, i, h, head in outputs(query.shape, group):
        for a in poses:
            q = query[n, *i, a, head]
            scores, values = [], []
            for j, offset in keys_of(i, query.shape[1 : 1 + group.dim], window_size, window_mask):
                for b in poses:
                    rho, tau = position_encoding[h, offset], pose_encoding[pose_index[h, a, b]]
                    place, pose = q[: len(rho)] @ rho, q[len(q) - len(tau) :] @ tau
                    scores.append(scale * (q @ key[n, *j, b, head] + place + pose))
                    values.append(value[n, *j, b, head])
            out[n, *i, h, head] += softmax(scores) @ np.asarray(values) if values else 0.0
    return out


def outputs(shape, group):
    positions = itertools.product(*map(range, shape[1 : 1 + group.dim]))
    return itertools.product(range(shape[0]), positions, range(group.order), range(shape[-2]))


def keys_of(i, spatial_shape, window_size, window_mask):
    """The keys that a query at i sees, and where in the flattened window their offset is."""
    window_shape = [2 * side - 1 for side in spatial_shape] if window_size is None else window_size
    window_shape = np.broadcast_to(window_shape, len(spatial_shape)).tolist()
    for offset, step in enumerate(itertools.product(*map(range, window_shape))):
        j = tuple(p + s - side // 2 for p, s, side in zip(i, step, window_shape, strict=True))
        inside = all(0 <= p < side for p, side in zip(j, spatial_shape, strict=True))
        if inside and (window_mask is None or window_mask[offset]):
            yield j, offset


def softmax(scores):
    weights = np.exp(np.asarray(scores) - np.max(scores))
    return weights / weights.sum()

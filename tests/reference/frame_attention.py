"""Attention of every frame by itself by loops over everything, in NumPy and float64."""

import itertools

import numpy as np

from tests.reference.self_attention import keys_of, outputs, softmax


def frame_self_attention(query, key, value, position_bias, *, group, window_size, window_mask=None, scale):
    """out(i, h) = sum_j softmax_j(scale q(i, h) . k(j, h) + s(h^-1 (x_j - x_i))) v(j, h); `s[h, offset, head]`."""
    out = np.zeros_like(query)
    for n, i, h, head in outputs(query.shape, group):
        scores, values = [], []
        for j, offset in keys_of(i, query.shape[1 : 1 + group.dim], window_size, window_mask):
            scores.append(scale * query[n, *i, h, head] @ key[n, *j, h, head] + position_bias[h, offset, head])
            values.append(value[n, *j, h, head])
        out[n, *i, h, head] = softmax(scores) @ np.asarray(values)
    return out


def rotary_encoding(x, frequencies, positions, *, group):
    """The pair (f, f + F) times the rotation by omega_f . h^-1 x, for one position, pose and head at a time."""
    out = np.zeros_like(x)
    pairs = x.shape[-1] // 2
    for *token, h, head in itertools.product(*map(range, x.shape[1:-1])):
        seen = np.linalg.solve(group.matrices[h], positions[tuple(token)])
        for f in range(pairs):
            turned = np.exp(1j * frequencies[head, f] @ seen) * (
                x[:, *token, h, head, f] + 1j * x[:, *token, h, head, f + pairs]
            )
            out[:, *token, h, head, f], out[:, *token, h, head, f + pairs] = turned.real, turned.imag
    return out

"""Attention on the dilation-translation group, in loops, at one output position and scale."""

import itertools

import numpy as np


def attend(
    query,
    key,
    value,
    position_encoding,
    scale_encoding,
    position,
    index,
    *,
    window_size,
    haar_weights,
    scale_count,
    dim,
):
    """The output at a position and the scale 2**index, `[heads, features]`, for one sample.

    Arrays are `[*spatial, scale, heads, features]`; in lifting the scale axis is 1 and `scale_encoding` is None.
    """
    h = 2**index
    heads, features = query.shape[-2:]
    lifting = scale_encoding is None
    seen = [0] if lifting else [b for b in range(index, index + len(scale_encoding)) if b < scale_count]
    offsets = list(itertools.product(range(-(window_size // 2), window_size // 2 + 1), repeat=dim))
    out = np.zeros((heads, value.shape[-1]))
    for head in range(heads):
        for a in seen:
            q = query[(*position, a, head)] / np.sqrt(features)
            scores, values = [], []
            for j, offset in enumerate(offsets):
                at = tuple(int(p + h * o) for p, o in zip(position, offset, strict=True))
                if any(not 0 <= p < side for p, side in zip(at, query.shape, strict=False)):
                    continue
                for b in seen:
                    rho = position_encoding[j]
                    score = q @ key[(*at, b, head)] + q[: len(rho)] @ rho
                    if not lifting:
                        tau = scale_encoding[b - index]
                        score += q[features - len(tau) :] @ tau
                        if haar_weights == "in_softmax":
                            score -= dim * np.log(2.0 ** (b - index))
                    scores.append(score)
                    values.append(value[(*at, b, head)])
            weights = np.exp(np.asarray(scores) - max(scores))
            out[head] += weights @ np.asarray(values) / weights.sum()
    if haar_weights == "printed":
        out /= float(h) ** (dim if lifting else dim + 1)
    return out


def attend_densely(image, position, h, *, radius, project, encode, normalize, haar_weight):
    """Lifting attention over every position within h times the radius: the neighbourhood that grows with its scale.

    Args:
      image: `[rows, columns, channels]`.
      project: matrices of query, key and value.
      encode: rho.
      normalize: a softmax; without, a sum of exp(score) v.
      haar_weight: multiplies the sum by 1 / h^2.
    """
    query_weight, key_weight, value_weight = project
    reach = int(radius * h)
    query = image[position] @ query_weight
    total, out = 0.0, 0.0
    for offset in itertools.product(range(-reach, reach + 1), repeat=2):
        # A cell on the edge of the neighbourhood counts by the part inside.
        cell = np.prod([0.5 if abs(o) == reach else 1.0 for o in offset])
        pixel = image[tuple(p + o for p, o in zip(position, offset, strict=True))]
        weight = cell * np.exp(query @ (pixel @ key_weight + encode(np.asarray(offset) / (h * radius))))
        total += weight
        out = out + weight * (pixel @ value_weight)
    return (out / total if normalize else out) * (h**-2.0 if haar_weight else 1.0)

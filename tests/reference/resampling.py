"""Upsampling and antialiased pooling, one position at a time, from their equations."""

import itertools
import math

import numpy as np

from tests.reference.actions import positions


def upsample(x, out_shape, method, *, align_corners):
    """y(i) = f(s_i) along every axis; `x` is `[*spatial, channels]`."""
    sides = x.shape[:-1]
    out = np.zeros((*out_shape, x.shape[-1]))
    for index, _ in positions(out_shape):
        source = [
            i * (n - 1) / (m - 1) if align_corners else (i + 0.5) * n / m - 0.5
            for i, n, m in zip(index, sides, out_shape, strict=True)
        ]
        if method == "nearest":
            out[index] = x[tuple(round(s) for s in source)]
            continue
        for corner in itertools.product((0, 1), repeat=len(sides)):
            weight, cell = 1.0, []
            for s, upper, n in zip(source, corner, sides, strict=True):
                weight *= s - math.floor(s) if upper else 1 - (s - math.floor(s))
                cell.append(min(max(math.floor(s) + upper, 0), n - 1))
            out[index] += weight * x[tuple(cell)]
    return out


def antialiased_pool(x, strides):
    """y(i) = sum_k b_k f(s i + (s - 1)/2 + k), or without (s - 1)/2 where s does not divide; `x` is `[*spatial, channels]`."""
    for axis in range(x.ndim - 1):
        x = np.moveaxis(_pool_line(np.moveaxis(x, axis, 0), strides), 0, axis)
    return x


def _pool_line(x, strides):
    side = len(x)
    centre = (strides - 1) / 2 if side % strides == 0 else 0.0
    entries = next(size for size in (strides + 1, strides + 2) if (size - 1) % 2 == round(2 * centre) % 2)
    out = []
    for i in range(math.ceil(side / strides)):
        line = 0.0
        for k in range(entries):
            at = strides * i + centre + k - (entries - 1) / 2
            line = line + math.comb(entries - 1, k) / 2 ** (entries - 1) * x[min(max(round(at), 0), side - 1)]
        out.append(line)
    return np.stack(out)

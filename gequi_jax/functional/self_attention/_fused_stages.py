"""The stages of windowed self-attention that are sums of products, for accelerators.

Each takes and returns what the stage of the same name in `_stages` does, except that sums over features and poses include
the sum over the offsets where that is the next stage: the axis of offsets then has length 1.
"""

from collections.abc import Callable

import jax.numpy as jnp

from gequi_jax._typing import Array
from gequi_jax.functional.self_attention import _stages as stages


def sum_of_products(equation: str, x: Array, y: Array) -> Array:
    """`jnp.einsum` as an elementwise product and a sum, which XLA fuses; p stands for the axes of the positions.

    A query meets other keys at every position. As matrix products these sums are batches of matrices with a few rows and
    columns, each of which a TPU pads to a tile of the matrix unit.
    """
    of_x, of_y, of_out = equation.replace(",", "->").split("->")
    kept = of_out.removesuffix("p")
    summed = "".join(sorted(set(of_x + of_y) - set(of_out + "p")))
    letters = summed + kept
    positions = max(array.ndim - len(axes) + 1 for array, axes in ((x, of_x), (y, of_y)) if axes.endswith("p"))

    def expanded(array: Array, axes: str) -> Array:
        names = axes.removesuffix("p")
        order = sorted(range(len(names)), key=lambda axis: letters.index(names[axis]))
        trailing = array.shape[len(names) :] or (1,) * positions
        array = array.transpose(*order, *range(len(names), array.ndim))
        sizes = dict(zip((names[axis] for axis in order), array.shape, strict=False))
        return array.reshape(*(sizes.get(letter, 1) for letter in letters), *trailing)

    axes = tuple(range(len(summed)))
    if not of_out.endswith("p"):
        axes += tuple(range(len(letters), len(letters) + positions))
    return (expanded(x, of_x) * expanded(y, of_y)).sum(axis=axes)


def content_scores(query: Array, key_windows: Array, valid: Array) -> Array:
    """`[j, m, a, p]` from `[a, d, p]`, `[k, d, p]` and `[j, p]`."""
    products = sum_of_products("adp,kdp->kap", query, key_windows)
    return jnp.where(valid[:, None, None], products.reshape(len(valid), -1, *products.shape[1:]), -jnp.inf)


def place_scores(query: Array, position_encoding: Array) -> Array:
    """`[j, a, p]` from `[a, d, p]` and `[j, d]`."""
    return sum_of_products("adp,jd->jap", query[:, : position_encoding.shape[-1]], position_encoding)


def pose_scores(query: Array, pose_encoding: Array) -> Array:
    """`[m, a, p]` from `[a, d, p]` and `[a, m, d]`."""
    return sum_of_products("adp,amd->map", query, pose_encoding)


def sum_over_queries(weights: Array, factors: Array) -> Array:
    """`[j, m, p]` from `[j, m, a, p]` and `[a, p]`."""
    return (weights * factors[None, None]).sum(axis=2)


def products_with_values(attention: Array, value_windows: Array) -> Array:
    """`[1, d, p]`, summed over the offsets, from `[j, m, p]` and `[k, d, p]`."""
    return sum_of_products("kp,kdp->dp", attention.reshape(-1, *attention.shape[2:]), value_windows)[None]


def attention_gradient(out_gradient: Array, value_windows: Array, attention: Array) -> Array:
    """`[j, m, p]` from `[d, p]` and `[k, d, p]`."""
    return sum_of_products("dp,kdp->kp", out_gradient, value_windows).reshape(attention.shape)


def sum_over_key_poses(x: Array) -> Array:
    """`[j, a, p]` from `[j, m, a, p]`."""
    return x.sum(axis=1)


def products_with_keys(content_gradient: Array, key_windows: Array) -> Array:
    """`[1, a, d, p]`, summed over the offsets, from `[j, m, a, p]` and `[k, d, p]`."""
    by_key = content_gradient.reshape(-1, *content_gradient.shape[2:])
    return sum_of_products("kap,kdp->adp", by_key, key_windows)[None]


def products_with_queries(x: Array, query: Array) -> Array:
    """`[k, d, p]` from `[a, k, p]` and `[a, d, p]`."""
    return sum_of_products("akp,adp->kdp", x, query)


OF_STAGE: dict[Callable[..., Array], Callable[..., Array]] = {
    stages.content_scores: content_scores,
    stages.place_scores: place_scores,
    stages.pose_scores: pose_scores,
    stages.sum_over_queries: sum_over_queries,
    stages.products_with_values: products_with_values,
    stages.attention_gradient: attention_gradient,
    stages.sum_over_key_poses: sum_over_key_poses,
    stages.products_with_keys: products_with_keys,
    stages.products_with_queries: products_with_queries,
}

"""The attention probabilities of one query that moves with the image, in every self-attention layer."""

import functools
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from flax import nnx

from experiments.trained.attention import LayerCapture
from experiments.visualize.attention.measure.maps import LayerMaps, MapError
from experiments.visualize.attention.measure.queries import Query
from experiments.visualize.equivariance import transform_maps
from gequi_jax import groups


def probability_maps(
    layers: Sequence[LayerCapture], query: Query, elements: Sequence[int], group: groups.FiniteGroup
) -> tuple[list[LayerMaps], list[MapError]]:
    """The probabilities of each layer from the query of each image, and their equivariance errors.

        p(j; h) of L_g f from g i = p(g^-1 j; g^-1 h) of f from i,  and p(g^-1 j, g^-1 b; g^-1 h, g^-1 a) on the group

    Args:
      layers: with their inputs.
      query: in all images.
      elements: the first images are the image under each of these elements, the identity first.
      group: the group.

    Returns:
      For each layer its maps, `[images, *sizes, output poses]`: the mean over heads and, on the group, the mean over
      query poses a and the sum over key poses b. The errors are over all poses and heads.
    """
    maps, errors = [], []
    for layer in layers:
        positions = query.on(layer.values.shape[1])
        probabilities = [
            _probabilities(layer.layer, image[None], position)
            for image, position in zip(layer.values, positions, strict=True)
        ]
        reduced = [_reduce(one, group.dim) for one in probabilities]
        maps.append(LayerMaps(layer.name, np.stack(reduced), "probability", positions))
        errors.append(_error(layer.name, probabilities[: len(elements)], elements, group))
    return maps, errors


def _reduce(probabilities: np.ndarray, dim: int) -> np.ndarray:
    """From `[1, *sizes, output pose, (query pose, key pose,) heads]`."""
    mean = probabilities[0].mean(axis=-1)
    return mean if mean.ndim == dim + 1 else mean.sum(axis=-1).mean(axis=-1)


def _error(
    name: str, probabilities: Sequence[np.ndarray], elements: Sequence[int], group: groups.FiniteGroup
) -> MapError:
    largest, squares = 0.0, 0.0
    for element, transformed in zip(elements, probabilities, strict=True):
        expected = transform_maps(element, probabilities[0], group, pose_axes=transformed.ndim - 2 - group.dim)
        difference = transformed.astype(np.float64) - expected
        largest, squares = max(largest, float(np.abs(difference).max())), squares + float((difference**2).mean())
    deviation = max(float(probabilities[0].std()), 1e-12) if len(elements) else 1.0
    return MapError(name, largest, (squares / max(len(elements), 1)) ** 0.5 / deviation)


def _probabilities(layer: nnx.Module, x: np.ndarray, position: np.ndarray) -> np.ndarray:
    graph, state = nnx.split(layer)
    return np.asarray(_compiled(graph, state, x, position=tuple(position.tolist())))


@functools.partial(jax.jit, static_argnames=("graph", "position"))
def _compiled(graph: Any, state: Any, x: jax.Array, *, position: tuple[int, ...]) -> jax.Array:
    layer: Any = nnx.merge(graph, state)
    return layer.attention_probabilities(x, position)

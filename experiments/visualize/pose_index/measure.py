"""Measures the equivariance error of one group self-attention layer with the default and the published pose indices.

Reference: Romero & Cordonnier (2021), Eq. 16, and the code published with it.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from experiments.visualize.equivariance import differences
from experiments.visualize.seeding import random_streams
from gequi_jax import actions, functional, groups, nn, testing

GROUPS = ("p4", "p4m")
POSE_INDICES: Mapping[str, functional.PoseIndex] = {
    "default": functional.key_pose,
    "printed": functional.printed_pose,
    "published code": functional.published_pose,
}
Layer = Callable[[jax.Array], jax.Array]


@dataclasses.dataclass(frozen=True)
class PoseIndexResult:
    """The output of a layer with one pose index.

    Attributes:
      group: of the layer.
      pose_index: the key in `POSE_INDICES`.
      elements: which transforms of the first image `maps` are of.
      channel: which channel of the output `maps` are.
      maps: `[elements, rows, columns, poses]`.
      differences: `maps` minus the transformed map of the image.
      errors: the relative equivariance error under every element of the group, over all channels and images.
    """

    group: groups.FiniteGroup
    pose_index: str
    elements: tuple[int, ...]
    channel: int
    maps: np.ndarray
    differences: np.ndarray
    errors: tuple[float, ...]

    @property
    def largest_error(self) -> float:
        """Over all elements."""
        return max(self.errors)


def measure(group_name: str, images: np.ndarray, *, seed: int = 0) -> list[PoseIndexResult]:
    """Measures a layer with every pose index and the same weights.

    Args:
      group_name: a key of `group_by_name`, of a group that maps the grid to itself.
      images: `[n, side, side, 1]`; errors are over all of them, maps are of the first.
      seed: of the weights.
    """
    group = groups.group_by_name(group_name)
    elements = tuple(sorted({0, *quarter_turn_and_mirror(group)}))
    inputs: Any = jnp.asarray(images)
    batches = [actions.act_on_grid(element, inputs, group=group) for element in elements]
    results, channel = [], None
    for name, pose_index in POSE_INDICES.items():
        layer = build(group, pose_index, seed)
        errors = testing.equivariance_errors(layer, inputs, group=group, input="grid", output="feature_map")
        # Whole batches, for which the layer is compiled already.
        outputs = np.stack([np.asarray(layer(jnp.asarray(batch))[0]) for batch in batches])
        if channel is None:
            channel = int(outputs[0].std(axis=(0, 1, 2)).argmax())
        maps = outputs[..., channel]
        difference = differences(maps, elements, group)
        results.append(
            PoseIndexResult(group, name, elements, channel, maps, difference, tuple(float(e) for e in errors))
        )
    return results


def build(group: groups.FiniteGroup, pose_index: functional.PoseIndex, seed: int) -> Layer:
    """The layer behind equivariant ones that make an image a function on the group, as one compiled function.

        images -> lifting convolution -> LN -> swish -> group self-attention

    The weights of the attention are initialised as in the published code.
    """
    rngs, init = random_streams(seed), nnx.initializers.variance_scaling(2.0, "fan_in", "normal")
    lifting, norm = nn.LiftingConv(1, 8, 3, group=group, rngs=rngs), nn.LayerNorm(8, group=group, rngs=rngs)
    attention = nn.GroupSelfAttention(
        8,
        8,
        group=group,
        num_heads=4,
        qkv_features=36,
        window_size=3,
        pose_index=pose_index,
        kernel_init=init,
        rngs=rngs,
    )
    graph, state = nnx.split((lifting, norm, attention))

    @jax.jit
    def layer(images: jax.Array) -> jax.Array:
        lift, normalize, attend = nnx.merge(graph, state)
        return attend(nnx.swish(normalize(lift(images))))

    return layer


def quarter_turn_and_mirror(group: groups.FiniteGroup) -> list[int]:
    """The elements that are np.rot90 and, if the group has it, np.fliplr."""
    wanted = ([[0, -1], [1, 0]], [[1, 0], [0, -1]])
    return [e for e, matrix in enumerate(group.matrices) if any(np.array_equal(matrix, one) for one in wanted)]

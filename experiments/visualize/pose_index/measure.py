"""What a pose index costs: one group self-attention layer, with the index of this library and the published ones.

Reference: Romero & Cordonnier (2021), Eq. 16, and the code published with it.
"""

import dataclasses
from collections.abc import Callable, Mapping

import jax
import numpy as np
from flax import nnx

from experiments import _steerability as steerability
from experiments._visualize_measure import compare
from gequi_jax import actions, functional, groups, nn, testing

GROUPS = ("p4", "p4m")
POSE_INDICES: Mapping[str, functional.PoseIndex] = {
    "default": functional.key_pose,
    "printed": functional.printed_pose,
    "published code": functional.published_pose,
}


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What a layer makes of an image and its transforms.

    Attributes:
      group: its group.
      pose_index: the key in `POSE_INDICES`.
      elements: which transforms of the image were looked at.
      channel: which channel of the output.
      maps: that channel, `[elements, rows, columns, poses]`.
      off: what they are off by from the transformed map of the image, of the same shape.
      errors: the relative equivariance error under every element of the group, of all channels and images.
    """

    group: groups.FiniteGroup
    pose_index: str
    elements: tuple[int, ...]
    channel: int
    maps: np.ndarray
    off: np.ndarray
    errors: tuple[float, ...]

    @property
    def largest(self) -> float:
        """The largest error under any element."""
        return max(self.errors)


def outcomes(group_name: str, images: np.ndarray, *, seed: int = 0) -> list[Outcome]:
    """Builds the layer for a group, and looks at it with every pose index and the same weights.

    Args:
      group_name: a key of `group_by_name`, of a group that maps the grid to itself.
      images: `[n, side, side, 1]`; the errors are those of all, the maps those of the first.
      seed: of the weights, as initialised.
    """
    group = groups.group_by_name(group_name)
    elements = tuple(sorted({0, *quarter_turn_and_mirror(group)}))
    found, channel = [], None
    for name in POSE_INDICES:
        layer = build(group, POSE_INDICES[name], seed)
        errors = testing.equivariance_errors(layer, images, group=group, input="grid", output="feature_map")
        # Whole batches, for which the layer is compiled already.
        moved = [actions.act_on_grid(element, images, group=group) for element in elements]
        outputs = np.stack([np.asarray(layer(batch)[0]) for batch in moved])
        if channel is None:
            channel = int(outputs[0].std(axis=(0, 1, 2)).argmax())
        maps = outputs[..., channel]
        off = compare(maps, elements, group)
        found.append(Outcome(group, name, elements, channel, maps, off, tuple(map(float, errors))))
    return found


def build(
    group: groups.FiniteGroup, pose_index: functional.PoseIndex, seed: int
) -> Callable[[jax.typing.ArrayLike], jax.Array]:
    """The layer in question behind what makes an image a function on the group, as one compiled function.

        images -> lifting convolution -> LN -> swish -> group self-attention

    All before the last layer is equivariant in any case. Its weights are initialised as in the published code.
    """
    rngs, init = steerability.streams(seed), nnx.initializers.variance_scaling(2.0, "fan_in", "normal")
    options = {"group": group, "num_heads": 4, "qkv_features": 9, "window_size": 3, "kernel_init": init, "rngs": rngs}
    lifting, norm = nn.LiftingConv(1, 8, 3, group=group, rngs=rngs), nn.LayerNorm(8, group=group, rngs=rngs)
    attention = nn.GroupSelfAttention(8, 8, pose_index=pose_index, **options)
    graph, state = nnx.split((lifting, norm, attention))

    @jax.jit
    def layer(images: jax.typing.ArrayLike) -> jax.Array:
        lift, normalize, attend = nnx.merge(graph, state)
        return attend(nnx.swish(normalize(lift(images))))

    return layer


def quarter_turn_and_mirror(group: groups.FiniteGroup) -> list[int]:
    """The elements that are np.rot90 and, if the group has it, np.fliplr."""
    wanted = ([[0, -1], [1, 0]], [[1, 0], [0, -1]])
    return [e for e, matrix in enumerate(group.matrices) if any(np.array_equal(matrix, one) for one in wanted)]

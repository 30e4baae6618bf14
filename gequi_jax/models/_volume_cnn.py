"""A compact group-convolutional network for volumes, whose cost does not grow with the group."""

import itertools
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
from flax import nnx

from gequi_jax import functional
from gequi_jax._checks import check_positive_integer, check_rate
from gequi_jax._typing import Array, Float, Grid
from gequi_jax.groups import FiniteGroup
from gequi_jax.models._readout import pool_over_poses
from gequi_jax.models._sizes import check_input_sides
from gequi_jax.models._stages import behind_restriction, groups_of_stages
from gequi_jax.nn import BatchNorm, Dropout, GroupConv, GroupLinear, LiftingConv


class VolumeCNN(nnx.Module):
    """A lifting convolution that halves the map, stages of 3x3x3 group convolutions, and a readout over poses.

        volumes -> 4x4x4 lifting at every other position -> stage -> max pooling -> stage -> ...
                -> mean over positions -> hidden layer -> readout -> mean over poses -> logits

    Batch norm and relu follow every layer but the last. Invariant: the logits of L_g f are those of f, for every g that
    maps the input grid to itself. With `group_by_stage`, for every g of the last group.

    Rule of equal cost: a layer of c features computes c |H| channels, its multiply-adds grow with the square of c |H|, and
    its feature maps with c |H|. Networks with equal products of features and order cost the same.

    Args:
      group: the group H, of any dimension.
      input_shape: `(*spatial, channels)` of the volumes, with sides divisible by 2 to the number of stages.
      num_classes: the number of logits.
      layers_per_stage: group convolutions in each stage.
      features: channels of every pose in each stage.
      hidden_features: channels of every pose in the hidden layer; twice those of the last stage by default.
      lifting: the constructor of the first layer, called with `in_features, out_features, kernel_size, group=, strides=,
        padding=, use_bias=, kernel_init=, dtype=, param_dtype=, precision=, rngs=`.
      conv: the constructor of the group convolutions, called alike without strides and padding.
      group_by_stage: the group of each stage, from `group` to its subgroups; `group` in all of them by default. Where the
        group shrinks from H to K, `nn.RestrictPoses` gives the first convolution of the stage |H| / |K| times as many input
        channels a pose; its output has the `features` of the stage. The attribute `group` of the network is the last.
      dropout_rate: dropout before the hidden layer and before the readout.
      kernel_init: initialiser of all filters.
      dtype: the type of the computation and of the logits; inferred by default. Statistics of norms are float32 or wider.
      param_dtype: the type of the parameters.
      precision: of the linear maps, as in `jax.lax.conv_general_dilated`.
      rngs: the random streams.

    Raises:
      ValueError: if the group does not act on the input, a side is not divisible, stages and layers differ in number, or
        the groups of the stages do not shrink.
    """

    def __init__(
        self,
        *,
        group: FiniteGroup,
        input_shape: Sequence[int],
        num_classes: int,
        layers_per_stage: Sequence[int],
        features: Sequence[int],
        hidden_features: int | None = None,
        lifting: Callable[..., nnx.Module] = LiftingConv,
        conv: Callable[..., nnx.Module] = GroupConv,
        group_by_stage: Sequence[FiniteGroup] | None = None,
        dropout_rate: float = 0.2,
        kernel_init: nnx.Initializer = nnx.initializers.variance_scaling(2.0, "fan_in", "normal"),
        dtype: jax.typing.DTypeLike | None = None,
        param_dtype: jax.typing.DTypeLike = jnp.float32,
        precision: jax.lax.PrecisionLike = None,
        rngs: nnx.Rngs,
    ):
        layers = _layers(features, layers_per_stage)
        factor = 2 ** len(features)
        input_shape = check_input_sides(
            input_shape,
            lambda side: side > 0 and side % factor == 0,
            f"the map is halved {len(features)} times",
            group=group,
        )
        stages = groups_of_stages(group_by_stage, group=group, num_stages=len(features))
        of_layer = zip(stages, layers_per_stage, strict=True)
        groups = [group, *(stage for stage, count in of_layer for _ in range(count))]
        norm = {"dtype": dtype, "param_dtype": param_dtype, "rngs": rngs}
        options = {"use_bias": False, "kernel_init": kernel_init, "precision": precision, **norm}
        widths = [layers[0][0], *(width for width, _ in layers)]
        hidden = 2 * widths[-1] if hidden_features is None else hidden_features
        hidden = check_positive_integer("hidden_features", hidden)
        self.group = stages[-1]
        self.input_shape = input_shape
        self.num_classes = num_classes
        self.pool_before = tuple(index for index, (_, pooled) in enumerate(layers) if pooled)
        # The window is even and the padding equal on both sides, so that every other position is symmetric.
        self.lifting = lifting(input_shape[-1], widths[0], 4, group=group, strides=2, padding=1, **options)
        self.convs = nnx.List(
            behind_restriction(before, conv)(into, out, 3, group=after, **options)
            for (into, before), (out, after) in itertools.pairwise(zip(widths, groups, strict=True))
        )
        self.norms = nnx.List(
            BatchNorm(width, group=stage, **norm) for width, stage in zip(widths, groups, strict=True)
        )
        self.hidden = GroupLinear(widths[-1], hidden, group=self.group, **options)
        self.hidden_norm = BatchNorm(hidden, group=self.group, **norm)
        linear = {"precision": precision, "dtype": dtype, "param_dtype": param_dtype, "rngs": rngs}
        self.readout = nnx.Linear(hidden, num_classes, use_bias=False, kernel_init=kernel_init, **linear)
        self.dropout = Dropout(check_rate("dropout_rate", dropout_rate), rngs=rngs)

    def __call__(self, x: Grid) -> Float[Array, "batch classes"]:
        """Maps volumes `[batch, *spatial, channels]` to logits."""
        dim = self.group.dim
        x = nnx.relu(self.norms[0](self.lifting(x)))
        for index, (conv, norm) in enumerate(zip(self.convs, self.norms[1:], strict=True)):
            if index in self.pool_before:
                x = functional.spatial_pool(x, dim=dim)
            x = nnx.relu(norm(conv(x)))
        x = x.mean(axis=tuple(range(1, 1 + dim)), keepdims=True)
        x = nnx.relu(self.hidden_norm(self.hidden(self.dropout(x))))
        by_pose = functional.global_spatial_pool(self.readout(self.dropout(x)), dim=dim)
        return pool_over_poses(by_pose, self.num_classes, reduction="mean")


def _layers(features: Sequence[int], layers_per_stage: Sequence[int]) -> list[tuple[int, bool]]:
    """The width of every group convolution, and whether pooling comes before it."""
    if not features or len(features) != len(layers_per_stage):
        raise ValueError(
            f"layers_per_stage: expected a number for each of the {len(features)} stages of features; got "
            f"{tuple(layers_per_stage)}."
        )
    return [
        (check_positive_integer("features", width), stage > 0 and layer == 0)
        for stage, (width, count) in enumerate(zip(features, layers_per_stage, strict=True))
        for layer in range(check_positive_integer("layers_per_stage", count))
    ]

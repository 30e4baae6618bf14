"""ResNets of group convolutions: ResNet44 for CIFAR-10, and those of bottleneck blocks for volumes."""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from gequi_jax import functional
from gequi_jax._checks import check_positive_integer
from gequi_jax._typing import Array, FeatureMap, Float, Grid
from gequi_jax.groups import FiniteGroup
from gequi_jax.models._readout import pool_over_poses
from gequi_jax.models._sizes import Downsampling, check_downsampling, check_input_sides
from gequi_jax.models._stages import behind_restriction, groups_of_stages
from gequi_jax.nn import BatchNorm, GroupConv, LiftingConv


class ResidualBlock(nnx.Module):
    """Two 3x3 group convolutions, each behind batch norm and relu, beside a shortcut.

        y = conv_2(relu(bn_2(conv_1(relu(bn_1(x)))))) + shortcut(x)

    A bottleneck has windows 1x1, 3x3 and 1x1 in place of two 3x3, and half of the channels between them, so that its 3x3
    filters are a quarter as many.

    The shortcut is the identity where the channels stay, and a 1x1 group convolution where they change; there both
    branches halve the map as well. Equivariant with `downsampling="pool"`.

    Args:
      in_features: channels of the input.
      out_features: channels of the output.
      group: the group H.
      conv: the constructor of the convolutions, as in `ResNet`.
      halve: halve the map and project the shortcut.
      bottleneck: three convolutions, with half of `out_features` (rounded up) between them.
      downsampling: "pool" or "stride", as in `ResNet`.
      branch_scale: the factor of the initial filters of the last convolution.
      kernel_init: initialiser of all filters.
      dtype: the type of the computation and of the logits; inferred by default. Statistics of norms are float32 or wider.
      param_dtype: the type of the parameters.
      precision: of the convolutions, as in `jax.lax.conv_general_dilated`.
      rngs: the random streams.

    Reference: Romero et al. (2020), Appendix B.3.2; Cohen & Welling (2016); bottlenecks: He et al. (2016).
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        group: FiniteGroup,
        conv: Callable[..., nnx.Module],
        halve: bool,
        bottleneck: bool = False,
        downsampling: Downsampling,
        branch_scale: float,
        kernel_init: nnx.Initializer,
        dtype: jax.typing.DTypeLike | None = None,
        param_dtype: jax.typing.DTypeLike = jnp.float32,
        precision: jax.lax.PrecisionLike = None,
        rngs: nnx.Rngs,
    ):
        norm = {"group": group, "dtype": dtype, "param_dtype": param_dtype, "rngs": rngs}
        options = {"use_bias": False, "precision": precision, **norm}
        last = {"kernel_init": functools.partial(_scaled, branch_scale, kernel_init), **options}
        options["kernel_init"] = kernel_init
        strided = halve and downsampling == "stride"
        step = {"strides": 2 if strided else 1, "allow_inequivariant": strided}
        self.dim = group.dim
        self.pool = halve and downsampling == "pool"
        self.norm1 = BatchNorm(in_features, **norm)
        inner = -(-out_features // 2) if bottleneck else out_features
        self.conv1 = conv(in_features, inner, 1 if bottleneck else 3, **step, **options)
        self.norm2 = BatchNorm(inner, **norm)
        self.conv2 = conv(inner, inner, 3, **(options if bottleneck else last))
        self.norm3 = BatchNorm(inner, **norm) if bottleneck else nnx.data(None)
        self.conv3 = conv(inner, out_features, 1, **last) if bottleneck else nnx.data(None)
        self.shortcut = conv(in_features, out_features, 1, **step, **options) if halve else nnx.data(None)

    def __call__(self, x: FeatureMap) -> Float[Array, "batch *out_spatial group out_features"]:
        """Maps `[batch, *spatial, group, in_features]` to `[..., group, out_features]`, halved or not."""
        branch = self._halved(self.conv1(nnx.relu(self.norm1(x))))
        branch = self.conv2(nnx.relu(self.norm2(branch)))
        if self.conv3 is not None and self.norm3 is not None:
            branch = self.conv3(nnx.relu(self.norm3(branch)))
        shortcut = x if self.shortcut is None else self._halved(self.shortcut(x))
        return branch + shortcut

    def _halved(self, x):
        return functional.spatial_pool(x, dim=self.dim, window_size=2) if self.pool else x


class ResNet(nnx.Module):
    """A lifting convolution, stages of residual blocks, and a linear readout of the spatial mean.

    Invariant with `downsampling="pool"`: the logits of L_g f are those of f, for every g that maps the input grid to
    itself. With `group_by_stage`, for every g of the last group.

    Args:
      group: the group H, of any dimension.
      input_shape: `(*spatial, channels)` of the images or volumes, with sides divisible by 2 to the number of halvings.
      num_classes: the number of logits.
      features: the channels of every pose in each stage; the map is halved at the start of each but the first.
      blocks_per_stage: 7 for 44 layers in three stages of basic blocks.
      bottleneck: blocks of windows 1x1, 3x3 and 1x1, with half the width between them.
      halve_lifting: lift with a window of side 4 at every other position, which halves the map before the first stage.
      lifting: the constructor of the first layer, called with `in_features, out_features, kernel_size, group=,
        use_bias=, kernel_init=, dtype=, param_dtype=, precision=, rngs=`.
      conv: the constructor of all others, called alike, and with `strides=, allow_inequivariant=` where a map may be
        halved. With `halve_lifting`, `lifting` is called with `strides=, padding=` as well.
      group_by_stage: the group of each stage, from `group` to its subgroups; `group` in all of them by default. Where the
        group shrinks from H to K, `nn.RestrictPoses` gives the first block of the stage |H| / |K| times as many input
        channels a pose; its output has the `features` of the stage. The attribute `group` of the network is the last.
      downsampling: "pool", convolutions of stride 1 and 2x2 max pooling; or "stride", the original convolutions of
        stride 2, which break equivariance at even sizes.
      kernel_init: initialiser of all filters; the last of each block are divided by the square of the number of blocks, so
        that a network whose batch norms have seen no data stays finite.
      dtype: the type of the computation and of the logits; inferred by default. Statistics of norms are float32 or wider.
      param_dtype: the type of the parameters.
      precision: of the convolutions, as in `jax.lax.conv_general_dilated`.
      rngs: the random streams.

    Raises:
      ValueError: if the group does not act on the input, sides are not divisible, a name is unknown, or the groups of the
        stages do not shrink.

    Reference: Romero et al. (2020), Tab. 2, Appendices B.3.2 and C; Cohen & Welling (2016); stages: Weiler & Cesa (2019).
    """

    def __init__(
        self,
        *,
        group: FiniteGroup,
        input_shape: Sequence[int],
        num_classes: int,
        features: Sequence[int],
        blocks_per_stage: int = 7,
        bottleneck: bool = False,
        halve_lifting: bool = False,
        lifting: Callable[..., nnx.Module] = LiftingConv,
        conv: Callable[..., nnx.Module] = GroupConv,
        group_by_stage: Sequence[FiniteGroup] | None = None,
        downsampling: Downsampling = "pool",
        kernel_init: nnx.Initializer = nnx.initializers.variance_scaling(2 / 3, "fan_in", "uniform"),
        dtype: jax.typing.DTypeLike | None = None,
        param_dtype: jax.typing.DTypeLike = jnp.float32,
        precision: jax.lax.PrecisionLike = None,
        rngs: nnx.Rngs,
    ):
        check_downsampling(downsampling)
        blocks_per_stage = check_positive_integer("blocks_per_stage", blocks_per_stage)
        halvings = len(features) - 1 + halve_lifting
        input_shape = check_input_sides(
            input_shape,
            lambda side: side > 0 and side % 2**halvings == 0,
            f"the map is halved {halvings} times",
            group=group,
        )
        groups = groups_of_stages(group_by_stage, group=group, num_stages=len(features))
        norm = {"dtype": dtype, "param_dtype": param_dtype, "rngs": rngs}
        options = {"kernel_init": kernel_init, "precision": precision, **norm}
        block = {
            "bottleneck": bottleneck,
            "downsampling": downsampling,
            "branch_scale": (len(features) * blocks_per_stage) ** -2.0,
            **options,
        }
        self.group = groups[-1]
        self.input_shape = input_shape
        self.num_classes = num_classes
        # The window is even and the padding equal on both sides, so that every other position is symmetric.
        stem: tuple[int, dict[str, Any]] = (4, {"strides": 2, "padding": 1}) if halve_lifting else (3, {})
        self.lifting = lifting(input_shape[-1], features[0], stem[0], group=group, use_bias=False, **stem[1], **options)
        self.blocks = nnx.List()
        for stage, width in enumerate(features):
            for index in range(blocks_per_stage):
                halve = stage > 0 and index == 0
                before = stage - halve
                construct = behind_restriction(groups[before], ResidualBlock)
                layer = construct(features[before], width, group=groups[stage], conv=conv, halve=halve, **block)
                self.blocks.append(layer)
        self.norm = BatchNorm(features[-1], group=self.group, **norm)
        self.readout = conv(features[-1], num_classes, 1, group=self.group, use_bias=False, **options)

    def __call__(self, x: Grid) -> Float[Array, "batch classes"]:
        """Maps images `[batch, *spatial, channels]` to logits."""
        x = self.lifting(x)
        for block in self.blocks:
            x = block(x)
        # One position is left, over which an attentive readout attends like over any other map.
        x = nnx.relu(self.norm(x)).mean(axis=tuple(range(1, 1 + self.group.dim)), keepdims=True)
        by_pose = functional.global_spatial_pool(self.readout(x), dim=self.group.dim)
        return pool_over_poses(by_pose, self.num_classes, reduction="mean")


def _scaled(factor: float, initializer: nnx.Initializer, *args) -> Array:
    return factor * initializer(*args)

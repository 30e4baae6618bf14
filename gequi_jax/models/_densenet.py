"""DenseNet, with group convolutions, for PatchCamelyon."""

import itertools
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
from flax import nnx

from gequi_jax import functional
from gequi_jax._checks import check_positive_integer
from gequi_jax._typing import Array, Float, Grid
from gequi_jax.groups import FiniteGroup
from gequi_jax.models._readout import pool_over_poses
from gequi_jax.models._sizes import check_input_sides
from gequi_jax.models._stages import behind_restriction, groups_of_stages
from gequi_jax.nn import BatchNorm, GroupConv, LiftingConv

Constructor = Callable[..., nnx.Module]


class DenseNet(nnx.Module):
    """Dense blocks of one 3x3 group convolution each, with 1x1 transitions and mean pooling between them.

        block:       x <- [conv(relu(bn(x))), crop(x)]        one more set of feature maps, one position less on every side
        transition:  x <- mean over 2x2 of conv(relu(bn(x)))

    and a 1x1 readout of the last block, averaged over positions and poses. Invariant: the logits of L_g f are those of f,
    for every g that maps the input grid to itself. With `group_by_stage`, for every g of the last group.

    Args:
      group: the group H, of any dimension.
      input_shape: `(*spatial, channels)` of the images or volumes, with sides that unpadded windows and halvings divide.
      num_classes: the number of logits.
      features: channels of every pose in the first layer, and those each block adds.
      lifting: the constructor of the first layer, called with `in_features, out_features, kernel_size, group=, padding=,
        use_bias=, kernel_init=, dtype=, param_dtype=, precision=, rngs=`.
      block_conv: the constructor of the convolutions in blocks, called alike; or one for each block.
      transition_conv: the constructor of the convolutions in transitions, called alike; or one for each transition.
      readout_conv: the constructor of the readout, called alike.
      num_blocks: the number of blocks.
      group_by_stage: the group of each block, from `group` to its subgroups; `group` in all of them by default. Where the
        group shrinks from H to K, `nn.RestrictPoses` gives the convolution of the transition |H| / |K| times as many input
        channels a pose; its width stays. The attribute `group` of the network is the last of them.
      kernel_init: initialiser of all filters; by default at half the published deviation, so that the network is exact in
        float32 before its batch norms have seen data.
      dtype: the type of the computation and of the logits; inferred by default. Statistics of norms are float32 or wider.
      param_dtype: the type of the parameters.
      precision: of the convolutions, as in `jax.lax.conv_general_dilated`.
      rngs: the random streams.

    Raises:
      ValueError: if a side does not fit, the number of constructors is not the number of layers, or the groups of the
        blocks do not shrink.

    Reference: Romero et al. (2020), Tab. 3 and Appendix B.4; Veeling et al. (2018).
    """

    def __init__(
        self,
        *,
        group: FiniteGroup,
        input_shape: Sequence[int],
        num_classes: int,
        features: int,
        lifting: Constructor = LiftingConv,
        block_conv: Constructor | Sequence[Constructor] = GroupConv,
        transition_conv: Constructor | Sequence[Constructor] = GroupConv,
        readout_conv: Constructor = GroupConv,
        num_blocks: int = 5,
        group_by_stage: Sequence[FiniteGroup] | None = None,
        kernel_init: nnx.Initializer = nnx.initializers.variance_scaling(1 / 6, "fan_in", "uniform"),
        dtype: jax.typing.DTypeLike | None = None,
        param_dtype: jax.typing.DTypeLike = jnp.float32,
        precision: jax.lax.PrecisionLike = None,
        rngs: nnx.Rngs,
    ):
        num_blocks = check_positive_integer("num_blocks", num_blocks)
        input_shape = check_input_sides(
            input_shape,
            lambda side: _fits(side, num_blocks),
            f"the map loses 2 positions before each of {num_blocks - 1} halvings",
            group=group,
        )
        groups = groups_of_stages(group_by_stage, group=group, num_stages=num_blocks)
        norm = {"dtype": dtype, "param_dtype": param_dtype, "rngs": rngs}
        options = {"padding": "VALID", "use_bias": False, "kernel_init": kernel_init, "precision": precision, **norm}
        features = check_positive_integer("features", features)
        widths = [features * (index + 1) for index in range(num_blocks + 1)]
        self.group = groups[-1]
        self.input_shape = input_shape
        self.num_classes = num_classes
        self.lifting = lifting(input_shape[-1], features, 3, group=group, **options)
        self.block_norms = nnx.List(
            BatchNorm(width, group=of_block, **norm) for width, of_block in zip(widths[:-1], groups, strict=True)
        )
        self.block_convs = nnx.List(
            constructor(width, features, 3, group=of_block, **options)
            for constructor, width, of_block in zip(
                _each("block_conv", block_conv, num_blocks), widths[:-1], groups, strict=True
            )
        )
        self.transition_norms = nnx.List(
            BatchNorm(width, group=of_block, **norm) for width, of_block in zip(widths[1:-1], groups[:-1], strict=True)
        )
        self.transition_convs = nnx.List(
            behind_restriction(before, constructor)(width, width, 1, group=after, **options)
            for constructor, width, (before, after) in zip(
                _each("transition_conv", transition_conv, num_blocks - 1),
                widths[1:-1],
                itertools.pairwise(groups),
                strict=True,
            )
        )
        self.norm = BatchNorm(widths[-1], group=self.group, **norm)
        self.readout = readout_conv(widths[-1], num_classes, 1, group=self.group, **options)

    def __call__(self, x: Grid) -> Float[Array, "batch classes"]:
        """Maps images `[batch, *spatial, channels]` to logits."""
        x = self.lifting(x)
        inner = (slice(None), *(slice(1, -1),) * self.group.dim)
        for index, (norm, conv) in enumerate(zip(self.block_norms, self.block_convs, strict=True)):
            new = conv(nnx.relu(norm(x)))
            x = jnp.concatenate([new, x[inner]], axis=-1)
            if index < len(self.transition_convs):
                x = self.transition_convs[index](nnx.relu(self.transition_norms[index](x)))
                x = functional.spatial_pool(x, dim=self.group.dim, window_size=2, reduction="mean")
        x = self.readout(nnx.relu(self.norm(x)))
        return pool_over_poses(
            functional.global_spatial_pool(x, dim=self.group.dim), self.num_classes, reduction="mean"
        )


def _fits(side: int, num_blocks: int) -> bool:
    side -= 2
    for _ in range(num_blocks - 1):
        side -= 2
        if side <= 0 or side % 2:
            return False
        side //= 2
    return side > 2


def _each(argument: str, constructors: Constructor | Sequence[Constructor], count: int) -> Sequence[Constructor]:
    if callable(constructors):
        return (constructors,) * count
    if len(constructors) != count:
        raise ValueError(
            f"{argument}: expected one constructor, or {count}, one for each layer; got {len(constructors)}."
        )
    return constructors

"""DenseNet, with group convolutions, for PatchCamelyon."""

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
from gequi_jax.nn import BatchNorm, GroupConv, LiftingConv

Constructor = Callable[..., nnx.Module]


class DenseNet(nnx.Module):
    """Dense blocks of one 3x3 group convolution each, with 1x1 transitions and mean pooling between them.

        block:       x <- [conv(relu(bn(x))), crop(x)]        one more set of feature maps, one position less on every side
        transition:  x <- mean over 2x2 of conv(relu(bn(x)))

    and a 1x1 readout of the last block, averaged over positions and poses. Invariant: the logits of L_g f are those of f,
    for every g that maps the input grid to itself.

    Args:
      group: the group H, planar.
      input_shape: `(rows, columns, channels)` of the images, with sides that unpadded windows and halvings divide.
      num_classes: the number of logits.
      features: channels of the first layer, and those each block adds.
      lifting: the constructor of the first layer, called with `in_features, out_features, kernel_size, group=, padding=,
        use_bias=, kernel_init=, dtype=, param_dtype=, precision=, rngs=`.
      block_conv: the constructor of the convolutions in blocks, called alike; or one for each block.
      transition_conv: the constructor of the convolutions in transitions, called alike; or one for each transition.
      readout_conv: the constructor of the readout, called alike.
      num_blocks: the number of blocks.
      kernel_init: initialiser of all filters; by default at half the published deviation, so that the network is exact in
        float32 before its batch norms have seen data.
      dtype: the type of the computation and of the logits; inferred by default. Statistics of norms are float32 or wider.
      param_dtype: the type of the parameters.
      precision: of the convolutions, as in `jax.lax.conv_general_dilated`.
      rngs: the random streams.

    Raises:
      ValueError: if a side does not fit, or the number of constructors is not the number of layers.

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
        )
        norm = {"group": group, "dtype": dtype, "param_dtype": param_dtype, "rngs": rngs}
        options = {"padding": "VALID", "use_bias": False, "kernel_init": kernel_init, "precision": precision, **norm}
        features = check_positive_integer("features", features)
        widths = [features * (index + 1) for index in range(num_blocks + 1)]
        self.group = group
        self.input_shape = input_shape
        self.num_classes = num_classes
        self.lifting = lifting(input_shape[-1], features, 3, **options)
        self.block_norms = nnx.List(BatchNorm(width, **norm) for width in widths[:-1])
        self.block_convs = nnx.List(
            constructor(width, features, 3, **options)
            for constructor, width in zip(_each("block_conv", block_conv, num_blocks), widths[:-1], strict=True)
        )
        self.transition_norms = nnx.List(BatchNorm(width, **norm) for width in widths[1:-1])
        self.transition_convs = nnx.List(
            constructor(width, width, 1, **options)
            for constructor, width in zip(
                _each("transition_conv", transition_conv, num_blocks - 1), widths[1:-1], strict=True
            )
        )
        self.norm = BatchNorm(widths[-1], **norm)
        self.readout = readout_conv(widths[-1], num_classes, 1, **options)

    def __call__(self, x: Grid) -> Float[Array, "batch classes"]:
        """Maps images `[batch, rows, columns, channels]` to logits."""
        x = self.lifting(x)
        for index, (norm, conv) in enumerate(zip(self.block_norms, self.block_convs, strict=True)):
            new = conv(nnx.relu(norm(x)))
            x = jnp.concatenate([new, x[:, 1:-1, 1:-1]], axis=-1)
            if index < len(self.transition_convs):
                x = self.transition_convs[index](nnx.relu(self.transition_norms[index](x)))
                x = functional.spatial_pool(x, dim=2, window_size=2, reduction="mean")
        x = self.readout(nnx.relu(self.norm(x)))
        return pool_over_poses(functional.global_spatial_pool(x, dim=2), self.num_classes, reduction="mean")


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

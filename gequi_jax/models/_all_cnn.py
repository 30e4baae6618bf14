"""All-CNN-C, a network of nothing but convolutions, for CIFAR-10."""

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
from flax import nnx

from gequi_jax import functional
from gequi_jax._checks import check_positive_integer
from gequi_jax._typing import Array, Float, Grid
from gequi_jax.groups import FiniteGroup
from gequi_jax.models._readout import pool_over_poses
from gequi_jax.models._sizes import Downsampling, check_downsampling, check_input_sides
from gequi_jax.models._stages import behind_restriction, groups_of_stages
from gequi_jax.nn import BatchNorm, Dropout, GroupConv, LiftingConv

KERNEL_INIT = nnx.initializers.variance_scaling(0.035**2 / 3, "fan_in", "uniform")


class AllCNN(nnx.Module):
    """Nine group convolutions with batch norm and relu, the map halved after the third and the sixth, then a mean.

        three of width c, halved -> three of width 2c, halved -> 3x3 and 1x1 of width 2c -> 1x1 to the classes -> mean

    Invariant with `downsampling="pool"`: the logits of L_g f are those of f, for every g that maps the input grid to
    itself. With `group_by_stage`, for every g of the last group.

    Args:
      group: the group H, of any dimension.
      input_shape: `(*spatial, channels)` of the images or volumes, with sides divisible by 4.
      num_classes: the number of logits.
      features: the width c, in channels of every pose.
      lifting: the constructor of the first layer, called with `in_features, out_features, kernel_size, group=, strides=,
        allow_inequivariant=, use_bias=, kernel_init=, dtype=, param_dtype=, precision=, rngs=`.
      conv: the constructor of all others, called alike.
      group_by_stage: the groups of the first three convolutions, the next three and the last three, from `group` to its
        subgroups; `group` in all of them by default. Where the group shrinks from H to K, `nn.RestrictPoses` gives the next
        convolution |H| / |K| times as many input channels a pose; its width stays. The attribute `group` of the network is
        the last of them.
      downsampling: "pool", a convolution of stride 1 and 2x2 max pooling; or "stride", the original convolution of
        stride 2, which breaks equivariance at even sizes.
      input_dropout_rate: dropout of the image.
      dropout_rate: dropout after each halving.
      kernel_init: initialiser of all filters; small by default, as in the published code, since every layer is normalised.
      dtype: the type of the computation and of the logits; inferred by default. Statistics of norms are float32 or wider.
      param_dtype: the type of the parameters.
      precision: of the convolutions, as in `jax.lax.conv_general_dilated`.
      rngs: the random streams.

    Raises:
      ValueError: if sides are not divisible by 4, the downsampling is unknown, or the groups are not three that shrink.

    Reference: Romero et al. (2020), Tab. 2, Appendices B.3.1 and C; Springenberg et al. (2014).
    """

    def __init__(
        self,
        *,
        group: FiniteGroup,
        input_shape: Sequence[int],
        num_classes: int,
        features: int,
        lifting: Callable[..., nnx.Module] = LiftingConv,
        conv: Callable[..., nnx.Module] = GroupConv,
        group_by_stage: Sequence[FiniteGroup] | None = None,
        downsampling: Downsampling = "pool",
        input_dropout_rate: float = 0.2,
        dropout_rate: float = 0.5,
        kernel_init: nnx.Initializer = KERNEL_INIT,
        dtype: jax.typing.DTypeLike | None = None,
        param_dtype: jax.typing.DTypeLike = jnp.float32,
        precision: jax.lax.PrecisionLike = None,
        rngs: nnx.Rngs,
    ):
        check_downsampling(downsampling)
        input_shape = check_input_sides(
            input_shape, lambda side: side > 0 and side % 4 == 0, "the map is halved twice", group=group
        )
        features = check_positive_integer("features", features)
        widths = (features,) * 3 + (2 * features,) * 5 + (num_classes,)
        windows = (3,) * 7 + (1,) * 2
        groups = [stage for stage in groups_of_stages(group_by_stage, group=group, num_stages=3) for _ in range(3)]
        norm = {"dtype": dtype, "param_dtype": param_dtype, "rngs": rngs}
        options = {"use_bias": False, "kernel_init": kernel_init, "precision": precision, **norm}
        layers = []
        for index, (width, window) in enumerate(zip(widths, windows, strict=True)):
            in_features = widths[index - 1] if index else input_shape[-1]
            constructor = behind_restriction(groups[index - 1], conv) if index else lifting
            strided = downsampling == "stride" and index in (2, 5)
            layers.append(
                constructor(
                    in_features,
                    width,
                    window,
                    group=groups[index],
                    strides=2 if strided else 1,
                    allow_inequivariant=strided,
                    **options,
                )
            )
        self.group = groups[-1]
        self.input_shape = input_shape
        self.num_classes = num_classes
        self.downsampling = downsampling
        self.convs = nnx.List(layers)
        self.norms = nnx.List(
            BatchNorm(width, group=of_layer, **norm) for width, of_layer in zip(widths, groups, strict=True)
        )
        self.input_dropout = Dropout(input_dropout_rate, rngs=rngs)
        self.dropout = Dropout(dropout_rate, rngs=rngs)

    def __call__(self, x: Grid) -> Float[Array, "batch classes"]:
        """Maps images `[batch, *spatial, channels]` to logits."""
        x = self.input_dropout(x)
        for index, (conv, norm) in enumerate(zip(self.convs, self.norms, strict=True)):
            x = conv(x)
            if index in (2, 5):
                if self.downsampling == "pool":
                    x = functional.spatial_pool(x, dim=self.group.dim, window_size=2)
                x = self.dropout(nnx.relu(norm(x)))
            else:
                x = nnx.relu(norm(x))
        return pool_over_poses(
            functional.global_spatial_pool(x, dim=self.group.dim), self.num_classes, reduction="mean"
        )

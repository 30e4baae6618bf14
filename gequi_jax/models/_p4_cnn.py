"""The seven-layer group-convolutional network for rotated MNIST."""

import itertools
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
from flax import nnx

from gequi_jax import functional
from gequi_jax._typing import Array, Float, Grid
from gequi_jax.groups import FiniteGroup
from gequi_jax.models._readout import pool_over_poses
from gequi_jax.models._sizes import check_input_shape
from gequi_jax.models._stages import behind_restriction, groups_of_stages
from gequi_jax.nn import BatchNorm, Dropout, GroupConv, LiftingConv


class P4CNN(nnx.Module):
    """Six 3x3 group convolutions with batch norm and relu, max pooling after the second, and a 4x4 readout.

    Invariant: the logits of L_g f are those of f, for every g that maps the input grid to itself.

    The symmetry can shrink with depth, in three stages: the two convolutions before the pooling, the four after it, and the
    readout. The network is then invariant under the group of the readout.

    Args:
      group: the group H, of any dimension.
      input_shape: `(*spatial, channels)` of the images or volumes, of 28 positions along every axis.
      num_classes: the number of logits.
      features: channels of every pose in every layer.
      lifting: the constructor of the first layer, called with `in_features, out_features, kernel_size, group=, padding=,
        use_bias=, kernel_init=, dtype=, param_dtype=, precision=, rngs=`.
      conv: the constructor of all others, called alike.
      group_by_stage: the groups of the three stages, from `group` to its subgroups; `group` in all of them by default.
        Where the group shrinks from H to K, `nn.RestrictPoses` gives the next convolution `features` |H| / |K| channels a
        pose; its output has `features` again. The attribute `group` of the network is the last of them.
      dropout_rate: dropout after layers 1, 3, 4, 5 and 6.
      kernel_init: initialiser of all filters.
      dtype: the type of the computation and of the logits; inferred by default. Statistics of norms are float32 or wider.
      param_dtype: the type of the parameters.
      precision: of the convolutions, as in `jax.lax.conv_general_dilated`.
      rngs: the random streams.

    Raises:
      ValueError: if the input does not fit the readout, or the groups are not three that shrink.

    Reference: Romero et al. (2020), Tab. 1 and Appendix B.2; stages: Weiler & Cesa (2019).
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
        dropout_rate: float = 0.3,
        kernel_init: nnx.Initializer = nnx.initializers.variance_scaling(1 / 3, "fan_in", "uniform"),
        dtype: jax.typing.DTypeLike | None = None,
        param_dtype: jax.typing.DTypeLike = jnp.float32,
        precision: jax.lax.PrecisionLike = None,
        rngs: nnx.Rngs,
    ):
        input_shape = check_input_shape(input_shape, group=group)
        if set(input_shape[:-1]) != {28}:
            raise ValueError(
                f"input_shape: this network reads images of 28 positions along every axis; got {input_shape}. "
                "Resize the images, or use an architecture that pools to any size."
            )
        first, second, last = groups_of_stages(group_by_stage, group=group, num_stages=3)
        groups = (first,) * 2 + (second,) * 4
        norm = {"dtype": dtype, "param_dtype": param_dtype, "rngs": rngs}
        options = {"padding": "VALID", "use_bias": False, "kernel_init": kernel_init, "precision": precision, **norm}
        self.group = last
        self.input_shape = input_shape
        self.num_classes = num_classes
        self.convs = nnx.List(
            [
                lifting(input_shape[-1], features, 3, group=first, **options),
                *(
                    behind_restriction(before, conv)(features, features, 3, group=after, **options)
                    for before, after in itertools.pairwise(groups)
                ),
            ]
        )
        self.norms = nnx.List(BatchNorm(features, group=of_layer, **norm) for of_layer in groups)
        self.dropout = Dropout(dropout_rate, rngs=rngs)
        self.readout = behind_restriction(second, conv)(features, num_classes, 4, group=last, **options)

    def __call__(self, x: Grid) -> Float[Array, "batch classes"]:
        """Maps images `[batch, *spatial, channels]` to logits."""
        for index, (conv, norm) in enumerate(zip(self.convs, self.norms, strict=True)):
            x = nnx.relu(norm(conv(x)))
            if index == 1:
                x = functional.spatial_pool(x, dim=self.group.dim, window_size=2)
            else:
                x = self.dropout(x)
        return pool_over_poses(functional.global_spatial_pool(self.readout(x), dim=self.group.dim), self.num_classes)

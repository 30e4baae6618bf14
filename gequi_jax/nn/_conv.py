"""Lifting and group convolution layers."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from flax.nnx.nn.dtypes import promote_dtype

from gequi_jax import functional
from gequi_jax._checks import check_channels, check_group, check_positive_integer
from gequi_jax._typing import Array, FeatureMap, Grid, OutFeatureMap
from gequi_jax.actions import transform_group_kernel, transform_kernel
from gequi_jax.groups import FiniteGroup
from gequi_jax.nn._bias import create_bias, value_of, with_bias
from gequi_jax.nn._windows import as_given, check_kernel_shape, mask_of, static_mask


class ConvBase(nnx.Module):
    """What all convolutions share: their sizes, their filters and the checks of both."""

    # Whether the input is a feature map, rather than an image.
    _reads_feature_maps: bool = True

    def __init__(
        self,
        in_features: int,
        out_features: int,
        kernel_size: int | Sequence[int],
        *,
        group: FiniteGroup,
        strides: int = 1,
        padding: functional.Padding = "SAME",
        kernel_dilation: int = 1,
        window_mask: functional.WindowMask | None = None,
        use_bias: bool = True,
        allow_inequivariant: bool = False,
        dtype: jax.typing.DTypeLike | None = None,
        param_dtype: jax.typing.DTypeLike = jnp.float32,
        precision: jax.lax.PrecisionLike = None,
        kernel_init: nnx.Initializer = nnx.initializers.lecun_normal(),
        bias_init: nnx.Initializer = nnx.initializers.zeros_init(),
        rngs: nnx.Rngs,
    ):
        check_group(group)
        self.group = group
        self.in_features = check_positive_integer("in_features", in_features)
        self.out_features = check_positive_integer("out_features", out_features)
        self.kernel_shape = check_kernel_shape(kernel_size, group, allow_inequivariant=allow_inequivariant)
        self.kernel_size = as_given(kernel_size, self.kernel_shape)
        self.strides = check_positive_integer("strides", strides)
        self.padding: functional.Padding = padding
        self.kernel_dilation = check_positive_integer("kernel_dilation", kernel_dilation)
        self.window_mask = static_mask(window_mask)
        self.allow_inequivariant = allow_inequivariant
        self.dtype = dtype
        self.precision = precision
        self._check_padding()
        poses = (group.order,) if self._reads_feature_maps else ()
        shape = (*self.kernel_shape, *poses, self.in_features, self.out_features)
        self.kernel = nnx.Param(kernel_init(rngs.params(), shape, param_dtype))
        self.bias = create_bias(use_bias, bias_init, self.out_features, param_dtype=param_dtype, rngs=rngs)

    def filter_bank(self) -> Array:
        """The copies of the kernel transformed by every element of the group, all within the window mask.

        Returns:
          `[group, *window, in_features, out_features]`; of a layer that reads feature maps `[group, *window, in_group,
          in_features, out_features]`.
        """
        kernel = self.kernel[...]
        transform = transform_group_kernel if self._reads_feature_maps else transform_kernel
        if self.window_mask is None:
            return transform(kernel, group=self.group)
        inside = functional.resolve_window_mask(mask_of(self.window_mask), self.kernel_shape)
        inside = inside.reshape(*self.kernel_shape, *(1,) * (kernel.ndim - self.group.dim))
        return jnp.where(inside, transform(jnp.where(inside, kernel, 0), group=self.group), 0)

    def _check_padding(self) -> None:
        """The rule of padding, before any input is seen; the strides depend on the size of the input."""
        functional.resolve_padding(
            tuple(side * self.kernel_dilation for side in self.kernel_shape),
            self.kernel_shape,
            strides=1,
            padding=self.padding,
            kernel_dilation=self.kernel_dilation,
            allow_inequivariant=self.allow_inequivariant,
        )

    def _promoted(self, x: Array, *params: Array) -> tuple[Array, Array, Array | None, *tuple[Array, ...]]:
        """The input, the kernel, the bias and other parameters in the type of the computation."""
        check_channels(type(self).__name__, x, self.in_features)
        return promote_dtype((x, self.kernel[...], value_of(self.bias), *params), dtype=self.dtype)

    def _options(self) -> dict[str, Any]:
        """The arguments of the function that convolves."""
        return {
            "group": self.group,
            "strides": self.strides,
            "padding": self.padding,
            "kernel_dilation": self.kernel_dilation,
            "window_mask": mask_of(self.window_mask),
            "allow_inequivariant": self.allow_inequivariant,
            "precision": self.precision,
        }


class LiftingConv(ConvBase):
    """Convolution from images to feature maps on the group.

        [f * psi](x, h) = sum_c sum_y f_c(y) psi_c(h^-1 (y - x)) + bias

    Equivariant: L_g on the input becomes L_g on the output. The bias is shared by all poses.

    Args:
      in_features: channels of the input.
      out_features: channels of the output.
      kernel_size: the side of the kernel, or one side for each axis where the group does not exchange the axes.
      group: the group H.
      strides: the step between output positions, along every axis.
      padding: zeros added on each side of every axis; "SAME" keeps the size, "VALID" adds none.
      kernel_dilation: the step between neighbouring kernel entries.
      window_mask: the offsets of the kernel that take part, all by default: a mask of the shape of the kernel, or a function
        from that shape to a mask, such as `gequi_jax.actions.round_window` for groups that rotate by less than 90 degrees.
      use_bias: adds one bias for each output channel.
      allow_inequivariant: accept strides, padding and kernel shapes that break the symmetry.
      dtype: the type of the computation; inferred by default.
      param_dtype: the type of the parameters.
      precision: as in `jax.lax.conv_general_dilated`.
      kernel_init: initialiser of the kernel, `[*window, in_features, out_features]`.
      bias_init: initialiser of the bias.
      rngs: the random streams.

    Raises:
      ValueError: if a size is not positive, or the kernel, the padding or the strides break equivariance; when called, if the input
        does not fit the group or `in_features`.

    Reference: Romero et al. (2020), Eqs. 9 to 13.

    Example:
      >>> from gequi_jax.groups import cyclic_group
      >>> layer = LiftingConv(1, 8, 3, group=cyclic_group(4), rngs=nnx.Rngs(0))
      >>> layer(jnp.ones((2, 9, 9, 1))).shape
      (2, 9, 9, 4, 8)
    """

    _reads_feature_maps = False

    def __call__(self, x: Grid) -> OutFeatureMap:
        """Maps images `[batch, *spatial, in_features]` to `[batch, *spatial, group, out_features]`."""
        x, kernel, bias = self._promoted(x)
        return with_bias(functional.lifting_conv(x, kernel, **self._options()), bias)


class GroupConv(ConvBase):
    """Convolution from feature maps on the group to feature maps on the group.

        [f * psi](x, h) = sum_c sum_m sum_y f_c(y, m) psi_c(h^-1 (y - x), h^-1 m) + bias

    Equivariant: L_g on the input becomes L_g on the output. The bias is shared by all poses.

    Args:
      in_features: channels of the input.
      out_features: channels of the output.
      kernel_size: the side of the kernel, or one side for each axis where the group does not exchange the axes.
      group: the group H.
      strides: the step between output positions, along every axis.
      padding: zeros added on each side of every axis; "SAME" keeps the size, "VALID" adds none.
      kernel_dilation: the step between neighbouring kernel entries.
      window_mask: the offsets of the kernel that take part, all by default: a mask of the shape of the kernel, or a function
        from that shape to a mask, such as `gequi_jax.actions.round_window` for groups that rotate by less than 90 degrees.
      use_bias: adds one bias for each output channel.
      allow_inequivariant: accept strides, padding and kernel shapes that break the symmetry.
      dtype: the type of the computation; inferred by default.
      param_dtype: the type of the parameters.
      precision: as in `jax.lax.conv_general_dilated`.
      kernel_init: initialiser of the kernel, `[*window, group, in_features, out_features]`.
      bias_init: initialiser of the bias.
      rngs: the random streams.

    Raises:
      ValueError: if a size is not positive, or the kernel, the padding or the strides break equivariance; when called, if the input
        does not fit the group or `in_features`.

    Reference: Romero et al. (2020), Eqs. 8 to 13.

    Example:
      >>> from gequi_jax.groups import dihedral_group
      >>> layer = GroupConv(8, 16, 3, group=dihedral_group(4), rngs=nnx.Rngs(0))
      >>> layer(jnp.ones((2, 9, 9, 8, 8))).shape
      (2, 9, 9, 8, 16)
    """

    def __call__(self, x: FeatureMap) -> OutFeatureMap:
        """Maps `[batch, *spatial, group, in_features]` to `[batch, *spatial, group, out_features]`."""
        x, kernel, bias = self._promoted(x)
        return with_bias(functional.group_conv(x, kernel, **self._options()), bias)

"""Lifting and group convolution layers."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from gequi_jax import functional
from gequi_jax._checks import check_group, check_positive_integer
from gequi_jax._typing import Bool, FeatureMap, Grid, OutFeatureMap
from gequi_jax.functional import resolve_padding
from gequi_jax.groups import FiniteGroup


class _Conv(nnx.Module):
    """What the two convolutions share: their sizes, their parameters and the checks of both."""

    def __init__(
        self,
        in_features: int,
        out_features: int,
        kernel_size: int,
        *,
        group: FiniteGroup,
        strides: int = 1,
        padding: str | int = "SAME",
        kernel_dilation: int = 1,
        window_mask: Callable[[tuple[int, ...]], Bool[np.ndarray, " window"]] | None = None,
        use_bias: bool = True,
        allow_inequivariant: bool = False,
        dtype: jax.typing.DTypeLike | None = None,
        param_dtype: jax.typing.DTypeLike = jnp.float32,
        precision: jax.lax.PrecisionLike = None,
        kernel_init: nnx.Initializer = nnx.initializers.lecun_normal(),
        bias_init: nnx.Initializer = nnx.initializers.zeros_init(),
        rngs: nnx.Rngs,
    ):
        for argument, value in (
            ("in_features", in_features),
            ("out_features", out_features),
            ("kernel_size", kernel_size),
            ("strides", strides),
            ("kernel_dilation", kernel_dilation),
        ):
            check_positive_integer(argument, value)
        check_group(group)
        # The padding rule can be checked before any input is seen, except for the residue of the strides.
        resolve_padding(
            (kernel_size * kernel_dilation,) * group.dim,
            (kernel_size,) * group.dim,
            strides=1,
            padding=padding,
            kernel_dilation=kernel_dilation,
            allow_inequivariant=allow_inequivariant,
        )
        self.in_features = in_features
        self.out_features = out_features
        self.kernel_size = kernel_size
        self.group = group
        self.strides = strides
        self.padding = padding
        self.kernel_dilation = kernel_dilation
        self.window_mask = window_mask
        self.allow_inequivariant = allow_inequivariant
        self.dtype = dtype
        self.precision = precision
        shape = (*(kernel_size,) * group.dim, *self._poses(), in_features, out_features)
        self.kernel = nnx.Param(kernel_init(rngs.params(), shape, param_dtype))
        self.bias = nnx.Param(bias_init(rngs.params(), (out_features,), param_dtype)) if use_bias else nnx.data(None)

    def _poses(self) -> tuple[int, ...]:
        raise NotImplementedError

    def _convolve(self, function, x):
        x, kernel, bias = nnx.nn.dtypes.promote_dtype(
            (x, self.kernel[...], None if self.bias is None else self.bias[...]), dtype=self.dtype
        )
        if x.shape[-1] != self.in_features:
            raise ValueError(
                f"{type(self).__name__}: expected {self.in_features} input channels (in_features) on the last axis; "
                f"got shape {x.shape}."
            )
        y = function(
            x,
            kernel,
            group=self.group,
            strides=self.strides,
            padding=self.padding,
            kernel_dilation=self.kernel_dilation,
            window_mask=None if self.window_mask is None else self.window_mask((self.kernel_size,) * self.group.dim),
            allow_inequivariant=self.allow_inequivariant,
            precision=self.precision,
        )
        return y if bias is None else y + bias.reshape((1,) * (y.ndim - 1) + (-1,))


class LiftingConv(_Conv):
    """Convolution from images to feature maps on the group.

        [f * psi](x, h) = sum_c sum_y f_c(y) psi_c(h^-1 (y - x)) + bias

    Equivariant: L_g on the input becomes L_g on the output. The bias is shared by all poses.

    Args:
      in_features: channels of the input.
      out_features: channels of the output.
      kernel_size: the side of the kernel.
      group: the group H.
      strides, padding, kernel_dilation: as in `gequi_jax.functional.lifting_conv`.
      window_mask: from a window shape to the offsets that take part, such as `gequi_jax.actions.round_window`, for groups
        whose rotations do not map a square window to itself.
      use_bias: adds one bias for each output channel.
      allow_inequivariant: accept strides and padding that break the symmetry.
      dtype: the type of the computation; inferred by default.
      param_dtype: the type of the parameters.
      precision: as in `jax.lax.conv_general_dilated`.
      kernel_init, bias_init: initialisers; the kernel is `[*window, in_features, out_features]`.
      rngs: the random streams.

    Raises:
      ValueError: if sizes are not positive, or the padding or strides break equivariance.

    Reference: Romero et al. (2020), Eqs. 9 to 13.

    Example:
      >>> from gequi_jax.groups import cyclic_group
      >>> layer = LiftingConv(1, 8, 3, group=cyclic_group(4), rngs=nnx.Rngs(0))
      >>> layer(jnp.ones((2, 9, 9, 1))).shape
      (2, 9, 9, 4, 8)
    """

    def _poses(self) -> tuple[int, ...]:
        return ()

    def __call__(self, x: Grid) -> OutFeatureMap:
        """Maps images `[batch, *spatial, in_features]` to `[batch, *spatial, group, out_features]`."""
        return self._convolve(functional.lifting_conv, x)


class GroupConv(_Conv):
    """Convolution from feature maps on the group to feature maps on the group.

        [f * psi](x, h) = sum_c sum_m sum_y f_c(y, m) psi_c(h^-1 (y - x), h^-1 m) + bias

    Equivariant: L_g on the input becomes L_g on the output. The bias is shared by all poses.

    The arguments are those of `LiftingConv`; the kernel is `[*window, group, in_features, out_features]`.

    Raises:
      ValueError: if sizes are not positive, or the padding or strides break equivariance.

    Reference: Romero et al. (2020), Eqs. 8 to 13.

    Example:
      >>> from gequi_jax.groups import dihedral_group
      >>> layer = GroupConv(8, 16, 3, group=dihedral_group(4), rngs=nnx.Rngs(0))
      >>> layer(jnp.ones((2, 9, 9, 8, 8))).shape
      (2, 9, 9, 8, 16)
    """

    def _poses(self) -> tuple[int, ...]:
        return (self.group.order,)

    def __call__(self, x: FeatureMap) -> OutFeatureMap:
        """Maps `[batch, *spatial, group, in_features]` to `[batch, *spatial, group, out_features]`."""
        return self._convolve(functional.group_conv, x)

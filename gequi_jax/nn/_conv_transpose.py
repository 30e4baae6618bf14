"""The transposed group convolution layer."""

from gequi_jax import functional
from gequi_jax._typing import FeatureMap, OutFeatureMap
from gequi_jax.nn._bias import with_bias
from gequi_jax.nn._conv import ConvBase


class GroupConvTranspose(ConvBase):
    """Transposed convolution from feature maps on the group to larger ones: upsampling that is learned.

        [f *^T psi](y, m) = sum_c sum_h sum_x f_c(x, h) psi_c(h^-1 (y - x), h^-1 m) + bias

    where x runs over the input positions, a stride apart on the grid of the output. The adjoint of `GroupConv` with the same
    options. Equivariant: L_g on the input becomes L_g on the output. The bias is shared by all poses.

    Sides double with `strides=2`, a window of 4 and `padding=1`, or a window of 2 and "VALID". An odd window with "SAME"
    maps a side n to 2n - 1.

    Args:
      in_features: channels of the input.
      out_features: channels of the output.
      kernel_size: the side of the kernel, or one side for each axis where the group does not exchange the axes.
      group: the group H.
      strides: the step between the positions of the input on the grid of the output, along every axis.
      padding: the padding of the convolution of which this is the adjoint, as in
        `gequi_jax.functional.group_conv_transpose`.
      kernel_dilation: the step between neighbouring kernel entries.
      window_mask: the offsets of the kernel that take part, as in `GroupConv`.
      use_bias: adds one bias for each output channel.
      allow_inequivariant: accept padding and kernel shapes that break the symmetry.
      dtype: the type of the computation; inferred by default.
      param_dtype: the type of the parameters.
      precision: as in `jax.lax.conv_general_dilated`.
      kernel_init: initialiser of the kernel, `[*window, group, in_features, out_features]`.
      bias_init: initialiser of the bias.
      rngs: the random streams.

    Raises:
      ValueError: if a size is not positive, or the kernel or the padding break equivariance; when called, if the input does
        not fit the group or `in_features`.

    Example:
      >>> import jax.numpy as jnp
      >>> from flax import nnx
      >>> from gequi_jax.groups import dihedral_group
      >>> layer = GroupConvTranspose(8, 4, 4, group=dihedral_group(4), strides=2, padding=1, rngs=nnx.Rngs(0))
      >>> layer(jnp.ones((2, 9, 9, 8, 8))).shape
      (2, 18, 18, 8, 4)
    """

    def __call__(self, x: FeatureMap) -> OutFeatureMap:
        """Maps `[batch, *spatial, group, in_features]` to `[batch, *out_spatial, group, out_features]`."""
        x, kernel, bias = self._promoted(x)
        return with_bias(functional.group_conv_transpose(x, kernel, **self._options()), bias)

"""Layers between feature maps on the group and fields of vectors and tensors on the grid."""

import jax
import jax.numpy as jnp
from flax import nnx
from flax.nnx.nn.dtypes import promote_dtype

from gequi_jax import functional
from gequi_jax._checks import check_channels, check_group, check_positive_integer
from gequi_jax._typing import Array, FeatureMap, Float, OutFeatureMap, TensorField, VectorField
from gequi_jax.groups import FiniteGroup


class _Lifting(nnx.Module):
    """What the liftings share: their group."""

    def __init__(self, *, group: FiniteGroup):
        check_group(group)
        self.group = group


class VectorLifting(_Lifting):
    """Vector fields in the frame of every pose: the first layer of a network that reads vectors.

        f_{ci}(x, h) = (h^-1 v_c(x))_i

    Equivariant: `gequi_jax.actions.act_on_vector_field` on the input becomes L_g on the output. It has no parameters.

    Args:
      group: the group H.

    Raises:
      ValueError: if `group` is not a group; when called, if the input is no vector field of the group's dimension.

    Example:
      >>> from gequi_jax.groups import cyclic_group
      >>> VectorLifting(group=cyclic_group(4))(jnp.ones((1, 5, 5, 3, 2))).shape
      (1, 5, 5, 4, 6)
    """

    def __call__(self, x: Float[Array, "batch *rest"]) -> OutFeatureMap:
        """Maps vector fields `[batch, *spatial, ..., dim]` to `[batch, *spatial, group, channels * dim]`."""
        return functional.lift_vectors(x, group=self.group)


class TensorLifting(_Lifting):
    """Tensor fields in the frame of every pose: the first layer of a network that reads tensors.

        f_{cij}(x, h) = (h^-1 T_c(x) h^-T)_{ij}

    Equivariant: `gequi_jax.actions.act_on_tensor_field` on the input becomes L_g on the output. It has no parameters.

    Args:
      group: the group H.

    Raises:
      ValueError: if `group` is not a group; when called, if the input is no tensor field of the group's dimension.
    """

    def __call__(self, x: Float[Array, "batch *rest"]) -> OutFeatureMap:
        """Maps tensor fields `[batch, *spatial, ..., dim, dim]` to `[batch, *spatial, group, channels * dim * dim]`."""
        return functional.lift_tensors(x, group=self.group)


class _Readout(nnx.Module):
    """What the readouts share: their sizes and their kernel."""

    rank: int

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        group: FiniteGroup,
        dtype: jax.typing.DTypeLike | None = None,
        param_dtype: jax.typing.DTypeLike = jnp.float32,
        precision: jax.lax.PrecisionLike = None,
        kernel_init: nnx.Initializer = nnx.initializers.lecun_normal(in_axis=0, out_axis=1),
        rngs: nnx.Rngs,
    ):
        check_group(group)
        self.in_features = check_positive_integer("in_features", in_features)
        self.out_features = check_positive_integer("out_features", out_features)
        self.group = group
        self.dtype = dtype
        self.precision = precision
        shape = (self.in_features, self.out_features, *(group.dim,) * self.rank)
        self.kernel = nnx.Param(kernel_init(rngs.params(), shape, param_dtype))

    def _promoted(self, x: Array) -> tuple[Array, Array]:
        check_channels(type(self).__name__, x, self.in_features)
        return promote_dtype((x, self.kernel[...]), dtype=self.dtype)


class VectorReadout(_Readout):
    """Vector fields from feature maps, such as a flow, an orientation or a force.

        v_o(x) = sum_h sum_c f_c(x, h) h w_{co}

    Equivariant: L_g on the input becomes `gequi_jax.actions.act_on_vector_field` on the output. There is no bias: the only
    vector that every rotation keeps is 0.

    Args:
      in_features: channels of the input.
      out_features: vectors at each position.
      group: the group H.
      dtype: the type of the computation; inferred by default.
      param_dtype: the type of the parameters.
      precision: as in `jax.lax.dot_general`.
      kernel_init: initialiser of the vectors w, `[in_features, out_features, dim]`.
      rngs: the random streams.

    Raises:
      ValueError: if a size is not positive, or `group` is not a group.

    Example:
      >>> from gequi_jax.groups import cyclic_group
      >>> layer = VectorReadout(8, 1, group=cyclic_group(4), rngs=nnx.Rngs(0))
      >>> layer(jnp.ones((1, 5, 5, 4, 8))).shape
      (1, 5, 5, 1, 2)
    """

    rank = 1

    def __call__(self, x: FeatureMap) -> VectorField:
        """Maps `[batch, *spatial, group, in_features]` to `[batch, *spatial, out_features, dim]`."""
        x, kernel = self._promoted(x)
        return functional.vector_readout(x, group=self.group, kernel=kernel, precision=self.precision)


class TensorReadout(_Readout):
    """Fields of symmetric tensors from feature maps, such as a stress or a structure tensor.

        T_o(x) = sum_h sum_c f_c(x, h) h S_{co} h^T,    S_{co} = (W_{co} + W_{co}^T) / 2

    Equivariant: L_g on the input becomes `gequi_jax.actions.act_on_tensor_field` on the output.

    Args:
      in_features: channels of the input.
      out_features: tensors at each position.
      group: the group H.
      dtype: the type of the computation; inferred by default.
      param_dtype: the type of the parameters.
      precision: as in `jax.lax.dot_general`.
      kernel_init: initialiser of the matrices W, `[in_features, out_features, dim, dim]`.
      rngs: the random streams.

    Raises:
      ValueError: if a size is not positive, or `group` is not a group.
    """

    rank = 2

    def __call__(self, x: FeatureMap) -> TensorField:
        """Maps `[batch, *spatial, group, in_features]` to `[batch, *spatial, out_features, dim, dim]`."""
        x, kernel = self._promoted(x)
        return functional.tensor_readout(x, group=self.group, kernel=kernel, precision=self.precision)

"""Between feature maps on the group and fields on the grid: vectors, symmetric tensors and pseudoscalars."""

import jax
import jax.numpy as jnp
import numpy as np

from gequi_jax._checks import check_components, check_group, check_group_axis, check_spatial_axes
from gequi_jax._typing import Array, FeatureMap, Float, Grid, OutFeatureMap, TensorField, VectorField
from gequi_jax.groups import FiniteGroup


def vector_readout(
    x: FeatureMap,
    *,
    group: FiniteGroup,
    kernel: Float[Array, "in_features out_channels dim"] | None = None,
    precision: jax.lax.PrecisionLike = None,
) -> VectorField:
    """Vector fields from feature maps: every pose contributes a vector in its own frame.

        v_o(x) = sum_h sum_c f_c(x, h) h w_{co}

    for vectors w_{co} of R^d, the kernel. By default v_c(x) = sum_h f_c(x, h) h e for the first basis vector e. The kernel
    reaches every equivariant linear map of one position; a single e does not where its orbit does not span R^d.

    Equivariant: L_g on the feature map becomes v(x) -> g v(g^-1 x), `gequi_jax.actions.act_on_vector_field`.

    Args:
      x: feature maps `[batch, *spatial, group, channels]`.
      group: the group H.
      kernel: the vectors w, `[channels, out_channels, dim]`.
      precision: as in `jax.lax.dot_general`.

    Returns:
      `[batch, *spatial, channels, dim]`, with the components in the order of the spatial axes.

    Raises:
      ValueError: if the axes do not fit the group, or the kernel the channels.

    Reference: the regular representation of Cohen & Welling (2016) mapped to the standard one, Weiler & Cesa (2019).

    Example:
      >>> from gequi_jax.groups import cyclic_group
      >>> vector_readout(jnp.ones((1, 5, 5, 4, 3)), group=cyclic_group(4)).shape
      (1, 5, 5, 3, 2)
    """
    _check_feature_map(x, group)
    matrices = jnp.asarray(group.matrices, x.dtype)
    if kernel is None:
        return jnp.einsum("...hc,hd->...cd", x, matrices[:, :, 0], precision=precision)
    _check_kernel(kernel, x, group, rank=1)
    bank = jnp.einsum("hde,coe->hcod", matrices, kernel, precision="highest")
    return jnp.einsum("...hc,hcod->...od", x, bank, precision=precision)


def tensor_readout(
    x: FeatureMap,
    *,
    group: FiniteGroup,
    kernel: Float[Array, "in_features out_channels dim dim"] | None = None,
    precision: jax.lax.PrecisionLike = None,
) -> TensorField:
    """Fields of symmetric tensors from feature maps: every pose contributes a tensor in its own frame.

        T_o(x) = sum_h sum_c f_c(x, h) h S_{co} h^T,    S_{co} = (W_{co} + W_{co}^T) / 2

    for matrices W_{co}, the kernel. By default T_c(x) = sum_h f_c(x, h) (h e)(h e)^T for the first basis vector e.

    Equivariant: L_g on the feature map becomes T(x) -> g T(g^-1 x) g^T, `gequi_jax.actions.act_on_tensor_field`.

    Args:
      x: feature maps `[batch, *spatial, group, channels]`.
      group: the group H.
      kernel: the matrices W, `[channels, out_channels, dim, dim]`.
      precision: as in `jax.lax.dot_general`.

    Returns:
      `[batch, *spatial, channels, dim, dim]`.

    Raises:
      ValueError: if the axes do not fit the group, or the kernel the channels.

    Example:
      >>> from gequi_jax.groups import cyclic_group
      >>> tensor_readout(jnp.ones((1, 5, 5, 4, 3)), group=cyclic_group(4)).shape
      (1, 5, 5, 3, 2, 2)
    """
    _check_feature_map(x, group)
    matrices = jnp.asarray(group.matrices, x.dtype)
    if kernel is None:
        first = matrices[:, :, 0]
        outer = jnp.einsum("hd,hk->hdk", first, first, precision="highest")
        return jnp.einsum("...hc,hdk->...cdk", x, outer, precision=precision)
    _check_kernel(kernel, x, group, rank=2)
    symmetric = (kernel + kernel.swapaxes(-1, -2)) / 2
    bank = jnp.einsum("hde,coef,hkf->hcodk", matrices, symmetric, matrices, precision="highest")
    return jnp.einsum("...hc,hcodk->...odk", x, bank, precision=precision)


def pseudoscalar_readout(x: FeatureMap, *, group: FiniteGroup) -> Grid:
    """Pseudoscalar fields from feature maps: mirrored poses count with the opposite sign.

        p_c(x) = sum_h det(h) f_c(x, h)

    Equivariant: L_g on the feature map becomes p(x) -> det(g) p(g^-1 x), `gequi_jax.actions.act_on_pseudoscalar_field`.

    Args:
      x: feature maps `[batch, *spatial, group, channels]`.
      group: the group H.

    Returns:
      `[batch, *spatial, channels]`.

    Raises:
      ValueError: if the axes do not fit the group.
    """
    _check_feature_map(x, group)
    signs = jnp.asarray(np.sign(np.linalg.det(group.matrices)), x.dtype)
    return jnp.einsum("...hc,h->...c", x, signs, precision="highest")


def lift_vectors(x: Float[Array, "batch *rest"], *, group: FiniteGroup) -> OutFeatureMap:
    """Feature maps from vector fields: at every pose, the components of the vectors in the frame of that pose.

        f_{ci}(x, h) = (h^-1 v_c(x))_i

    Equivariant: `gequi_jax.actions.act_on_vector_field` on the input becomes L_g on the output. Group convolution and group
    self-attention take it from there.

    Args:
      x: vector fields `[batch, *spatial, ..., dim]`, such as a velocity `[batch, rows, columns, 2]`.
      group: the group H.

    Returns:
      `[batch, *spatial, group, channels * dim]`, with the components of a vector next to each other.

    Raises:
      ValueError: if the axes do not fit the dimension of the group.

    Example:
      >>> from gequi_jax.groups import cyclic_group
      >>> lift_vectors(jnp.ones((1, 5, 5, 2)), group=cyclic_group(4)).shape
      (1, 5, 5, 4, 2)
    """
    check_group(group)
    check_components(x, group, rank=1)
    inverses = jnp.asarray(group.matrices[group.inverses], x.dtype)
    vectors = x.reshape(*x.shape[: 1 + group.dim], -1, group.dim)
    y = jnp.einsum("hde,...ce->...hcd", inverses, vectors, precision="highest")
    return y.reshape(*y.shape[:-2], -1)


def lift_tensors(x: Float[Array, "batch *rest"], *, group: FiniteGroup) -> OutFeatureMap:
    """Feature maps from tensor fields: at every pose, the components of the tensors in the frame of that pose.

        f_{cij}(x, h) = (h^-1 T_c(x) h^-T)_{ij}

    Equivariant: `gequi_jax.actions.act_on_tensor_field` on the input becomes L_g on the output.

    Args:
      x: tensor fields `[batch, *spatial, ..., dim, dim]`, such as diffusion tensors.
      group: the group H.

    Returns:
      `[batch, *spatial, group, channels * dim * dim]`.

    Raises:
      ValueError: if the axes do not fit the dimension of the group.
    """
    check_group(group)
    check_components(x, group, rank=2)
    inverses = jnp.asarray(group.matrices[group.inverses], x.dtype)
    tensors = x.reshape(*x.shape[: 1 + group.dim], -1, group.dim, group.dim)
    y = jnp.einsum("hde,...cef,hkf->...hcdk", inverses, tensors, inverses, precision="highest")
    return y.reshape(*y.shape[:-3], -1)


def _check_feature_map(x: Array, group: FiniteGroup) -> None:
    check_group(group)
    check_spatial_axes(x, group, other_axes=("batch", "group", "channels"))
    check_group_axis(x, group, axis=-2)


def _check_kernel(kernel: Array, x: Array, group: FiniteGroup, *, rank: int) -> None:
    components = (group.dim,) * rank
    if kernel.ndim != 2 + rank or (kernel.shape[0], *kernel.shape[2:]) != (x.shape[-1], *components):
        expected = ", ".join(map(str, (x.shape[-1], "out_channels", *components)))
        raise ValueError(f"kernel: expected shape [{expected}] for an input of shape {x.shape}; got {kernel.shape}.")

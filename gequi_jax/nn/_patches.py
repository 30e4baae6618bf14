"""Patches of images and of feature maps, at positions that every element of the group maps to one another."""

from typing import Any

import jax.numpy as jnp

from gequi_jax._checks import check_positive_integer, check_spatial_axes
from gequi_jax._typing import Array, FeatureMap, Grid, OutFeatureMap
from gequi_jax.groups import FiniteGroup
from gequi_jax.nn._conv import GroupConv, LiftingConv, with_bias


class PatchLifting(LiftingConv):
    """Embeds the patches of an image under every transformed copy of a kernel: a lifting convolution with strides.

        y(x, h) = sum_c sum_u f_c(x + u) psi_c(h^-1 u) + bias,  x the centres of patches

    Equivariant: L_g on the input becomes L_g on the output. The centres are spread evenly about the centre of the image, so
    that every element which maps the image to itself maps patches to patches. That holds for even and odd patches, and for
    patches that overlap, which are padded with zeros at the border.

    Args:
      in_features: channels of the image.
      out_features: channels of the output, for each pose.
      patch_size: the side of a patch.
      group: the group H.
      strides: the distance of neighbouring patches along every axis, `patch_size` by default; less lets them overlap by an
        even number of positions.
      **options: `use_bias`, `dtype`, `param_dtype`, `precision`, `kernel_init`, `bias_init` and `rngs`, as in
        `LiftingConv`.

    Raises:
      ValueError: if a size is not positive, or patches overlap by an odd or a negative number of positions; when called,
        if the sides of the image are not divisible by the stride.

    Reference: Dosovitskiy et al. (2021), An Image is Worth 16x16 Words.

    Example:
      >>> from flax import nnx
      >>> from gequi_jax.groups import dihedral_group
      >>> layer = PatchLifting(3, 16, 4, group=dihedral_group(4), rngs=nnx.Rngs(0))
      >>> layer(jnp.ones((2, 32, 32, 3))).shape
      (2, 8, 8, 8, 16)
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        patch_size: int,
        *,
        group: FiniteGroup,
        strides: int | None = None,
        **options: Any,
    ):
        self.patch_size = check_positive_integer("patch_size", patch_size)
        strides = self.patch_size if strides is None else check_positive_integer("strides", strides)
        overlap = self.patch_size - strides
        if overlap < 0 or overlap % 2:
            even = ", ".join(map(str, range(2 - self.patch_size % 2, self.patch_size + 1, 2)))
            raise ValueError(
                f"strides: expected patches of side {self.patch_size} that overlap by an even number of positions, so that "
                f"they lie evenly about the centre; got strides of {strides}; use one of {even}."
            )
        super().__init__(
            in_features,
            out_features,
            self.patch_size,
            group=group,
            strides=strides,
            padding=overlap // 2,
            **options,
        )

    def __call__(self, x: Grid) -> OutFeatureMap:
        """Maps images `[batch, *spatial, in_features]` to `[batch, *(side / stride), group, out_features]`."""
        check_spatial_axes(x, self.group, other_axes=("batch", "channels"))
        check_tiled(type(self).__name__, x.shape[1:-1], self.strides)
        if self.strides != self.patch_size:
            return super().__call__(x)
        x, _, bias = self._promoted(x)
        filters = jnp.moveaxis(self.filter_bank().astype(x.dtype), 0, -2)
        filters = filters.reshape(-1, self.group.order * self.out_features)
        y = jnp.matmul(blocks_as_channels(x, self.patch_size, dim=self.group.dim), filters, precision=self.precision)
        return with_bias(y.reshape(*y.shape[:-1], self.group.order, self.out_features), bias)


class PatchMerging(GroupConv):
    """Merges blocks of positions of a feature map into one position each: a group convolution whose windows are the blocks.

        y(x, h) = sum_c sum_m sum_u f_c(x + u, m) psi_c(h^-1 u, h^-1 m) + bias,  x the centres of blocks

    Equivariant: L_g on the input becomes L_g on the output, since blocks tile the grid and elements that preserve the grid
    map blocks to blocks.

    Args:
      in_features: channels of the input, for each pose.
      out_features: channels of the output, for each pose.
      group: the group H.
      factor: the side of a block, by which every side of the map is divided.
      **options: `use_bias`, `dtype`, `param_dtype`, `precision`, `kernel_init`, `bias_init` and `rngs`, as in `GroupConv`.

    Raises:
      ValueError: if a size is not positive; when called, if a side of the map is not divisible by the factor.

    Reference: Liu et al. (2021), Swin Transformer.

    Example:
      >>> from flax import nnx
      >>> from gequi_jax.groups import dihedral_group
      >>> layer = PatchMerging(8, 16, group=dihedral_group(4), rngs=nnx.Rngs(0))
      >>> layer(jnp.ones((2, 6, 6, 8, 8))).shape
      (2, 3, 3, 8, 16)
    """

    def __init__(self, in_features: int, out_features: int, *, group: FiniteGroup, factor: int = 2, **options: Any):
        factor = check_positive_integer("factor", factor)
        super().__init__(in_features, out_features, factor, group=group, strides=factor, padding="VALID", **options)

    def __call__(self, x: FeatureMap) -> OutFeatureMap:
        """Maps `[batch, *spatial, group, in_features]` to `[batch, *(side / factor), group, out_features]`."""
        check_spatial_axes(x, self.group, other_axes=("batch", "group", "channels"))
        check_tiled(type(self).__name__, x.shape[1:-2], self.strides)
        x, _, bias = self._promoted(x)
        filters = jnp.moveaxis(self.filter_bank().astype(x.dtype), 0, -2)  # [*window, in_group, in, group, out]
        filters = filters.reshape(-1, self.group.order * self.out_features)
        merged = blocks_as_channels(x.reshape(*x.shape[:-2], -1), self.strides, dim=self.group.dim)
        y = jnp.matmul(merged, filters, precision=self.precision)
        return with_bias(y.reshape(*y.shape[:-1], self.group.order, self.out_features), bias)


def blocks_as_channels(x: Array, side: int, *, dim: int) -> Array:
    """Blocks of positions that tile a grid, as channels in the order (offset in the block, channel).

    Args:
      x: `[batch, *spatial, channels]`.
      side: of a block.
      dim: the number of spatial axes.

    Returns:
      `[batch, *(spatial / side), side^dim * channels]`.
    """
    counts = [length // side for length in x.shape[1 : 1 + dim]]
    x = x.reshape(x.shape[0], *(size for count in counts for size in (count, side)), x.shape[-1])
    axes = [1 + 2 * axis for axis in range(dim)] + [2 + 2 * axis for axis in range(dim)]
    return x.transpose(0, *axes, 1 + 2 * dim).reshape(x.shape[0], *counts, side**dim * x.shape[-1])


def check_tiled(layer: str, spatial_shape: tuple[int, ...], side: int) -> None:
    """Checks that blocks tile a grid.

    Raises:
      ValueError: if a side of the grid is not divisible by that of a block; the message names sides that are.
    """
    for length in spatial_shape:
        if length % side:
            below, above = length // side * side, (length // side + 1) * side
            nearest = f"{below} and {above}" if below else f"{above}"
            raise ValueError(
                f"{layer}: expected sides divisible by {side}, so that blocks tile the grid and the group maps them to "
                f"blocks; got a grid of shape {spatial_shape}; the nearest sides to {length} are {nearest}. Resize or pad."
            )

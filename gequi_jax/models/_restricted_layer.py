"""Any equivariant layer for a subgroup: one copy of its parameters for each coset."""

import dataclasses
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
from flax import nnx

from gequi_jax._typing import Array, OutFeatureMap
from gequi_jax.functional import Maps, as_maps, restrict_poses, unrestrict_poses
from gequi_jax.groups import FiniteGroup, right_cosets


class RestrictedLayer(nnx.Module):
    """A layer for H whose parameters are shared by the poses of a right coset of K only.

        y(x, k r_i) = layer_{theta_i}(f)(x, k r_i)    with a copy theta_i of the parameters for each coset K r_i

    Equivariant under K: left multiplication by k maps every coset to itself, and the layer is equivariant under H. While
    all copies are equal it is the function of the layer. It computes all poses with every copy, |H| / |K| times as much
    as the layer; convolutions, norms and linear maps have forms without that, see `restrict`.

    Args:
      layer: an equivariant layer that maps images, or feature maps on H, to feature maps on H.
      group: the group H.
      subgroup: the subgroup K.
      reads_images: whether the input of the layer is an image.

    Attributes:
      keeps_form: `gequi_jax.export.to_plain` leaves the layer as it is.
    """

    keeps_form: ClassVar[bool] = True

    def __init__(self, layer: nnx.Module, *, group: FiniteGroup, subgroup: FiniteGroup, reads_images: bool):
        self.group = subgroup
        self.layer_group = group
        self.reads_images = reads_images
        num_cosets = len(right_cosets(group, subgroup))
        graph, state = nnx.split(layer)
        self.copies = nnx.merge(graph, jax.tree.map(lambda leaf: copies(leaf, num_cosets), state))

    def __call__(self, x: Array) -> OutFeatureMap:
        """Maps images, or feature maps `[batch, *spatial, |K|, in_features]`, to `[batch, *spatial, |K|, out_features]`."""
        groups: dict[str, Any] = {"group": self.layer_group, "subgroup": self.group}
        if not self.reads_images:
            x = unrestrict_poses(x, **groups)
        y = nnx.vmap(lambda layer, x: layer(x), in_axes=(0, None))(self.copies, x)
        return own_cosets(y, **groups)


class RestrictedFunction(nnx.Module):
    """A layer without parameters for a subgroup K: the same function, with the poses split into the cosets of K.

    Args:
      layer: an equivariant layer without parameters, from fields or feature maps to feature maps.
      input_group: the group of the feature maps that the layer reads; None for fields.
      output_group: the group of those that it returns.
      subgroup: the subgroup K.
    """

    keeps_form: ClassVar[bool] = True

    def __init__(
        self,
        layer: nnx.Module,
        *,
        input_group: FiniteGroup | None,
        output_group: FiniteGroup,
        subgroup: FiniteGroup,
    ):
        self.layer = layer
        self.input_group = input_group
        self.output_group = output_group
        self.group = subgroup

    def __call__(self, x: Array) -> OutFeatureMap:
        """Maps fields, or feature maps `[batch, *spatial, |K|, channels]`, to feature maps on K."""
        layer: Any = self.layer
        if self.input_group is not None:
            x = unrestrict_poses(x, group=self.input_group, subgroup=self.group)
        return restrict_poses(layer(x), group=self.output_group, subgroup=self.group)


@dataclasses.dataclass(frozen=True)
class RestrictedAttention:
    """Attention of an input for a subgroup K: an operator with one copy of its parameters for each coset.

    Attributes:
      operator: an operator that attends to the input.
      group: the group H for which it was made.
      subgroup: the subgroup K.
    """

    operator: Any
    group: FiniteGroup
    subgroup: FiniteGroup
    attends_to: ClassVar[str] = "input"

    def __call__(self, signal: Array, params: Any, *, group: FiniteGroup) -> Maps:
        """The maps of an input `[batch, *spatial, |K|, channels]`, with parameters stacked over the cosets."""
        groups: dict[str, Any] = {"group": self.group, "subgroup": self.subgroup}
        x = unrestrict_poses(signal, **groups)
        maps = jax.vmap(lambda params: as_maps(self.operator(x, params, group=self.group)))(params)
        # A map that does not vary with the channel varies with the coset.
        return tuple(
            own_cosets(jnp.broadcast_to(one_map, (*one_map.shape[:-1], x.shape[-1])), **groups) for one_map in maps
        )


@dataclasses.dataclass(frozen=True)
class AttentionOfAnImage:
    """Attention of an image, which has no poses: the same map whatever the group of the convolution.

    Attributes:
      operator: an operator that attends to the input.
      group: the group H for which it was made.
    """

    operator: Any
    group: FiniteGroup
    attends_to: ClassVar[str] = "input"

    def __call__(self, signal: Array, params: Any, *, group: FiniteGroup) -> Maps:
        """The maps of an image `[batch, *spatial, 1, channels]`."""
        return as_maps(self.operator(signal, params, group=self.group))


def own_cosets(y: Array, *, group: FiniteGroup, subgroup: FiniteGroup) -> OutFeatureMap:
    """Of the feature maps on H that every copy computed, `[coset, batch, ...]`, those of its own coset, as one on K."""
    cosets, channels = y.shape[0], y.shape[-1]
    by_coset = restrict_poses(y, group=group, subgroup=subgroup)
    by_coset = by_coset.reshape(*by_coset.shape[:-1], channels, cosets)
    own = jnp.diagonal(by_coset, axis1=0, axis2=-1)
    return own.reshape(*own.shape[:-2], channels * cosets)


def copies(leaf: Array, count: int) -> Array:
    """Equal copies of an array, or different keys from a random key, along a new first axis."""
    if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        keys = jax.vmap(lambda key: jax.random.split(key, count), out_axes=1)(leaf.reshape(-1))
        return keys.reshape(count, *leaf.shape)
    return jnp.broadcast_to(leaf, (count, *leaf.shape))

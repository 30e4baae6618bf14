"""Any equivariant layer for a subgroup: one copy of its parameters for each coset."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from gequi_jax._typing import Array, OutFeatureMap
from gequi_jax.functional import restrict_poses, unrestrict_poses
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
    """

    def __init__(self, layer: nnx.Module, *, group: FiniteGroup, subgroup: FiniteGroup, reads_images: bool):
        self.group = subgroup
        self.layer_group = group
        self.reads_images = reads_images
        num_cosets = len(right_cosets(group, subgroup))
        graph, state = nnx.split(layer)
        self.copies = nnx.merge(graph, jax.tree.map(lambda leaf: _copies(leaf, num_cosets), state))

    def __call__(self, x: Array) -> OutFeatureMap:
        """Maps images, or feature maps `[batch, *spatial, |K|, in_features]`, to `[batch, *spatial, |K|, out_features]`."""
        groups: dict[str, Any] = {"group": self.layer_group, "subgroup": self.group}
        if not self.reads_images:
            x = unrestrict_poses(x, **groups)
        y = nnx.vmap(lambda layer, x: layer(x), in_axes=(0, None))(self.copies, x)
        y = restrict_poses(y, **groups).reshape(*y.shape[:-2], self.group.order, y.shape[-1], len(y))
        # Of the poses that copy i computed, those of coset i.
        own = jnp.diagonal(y, axis1=0, axis2=-1)
        return own.reshape(*own.shape[:-2], own.shape[-2] * own.shape[-1])


def _copies(leaf: Array, count: int) -> Array:
    if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        keys = jax.vmap(lambda key: jax.random.split(key, count), out_axes=1)(leaf.reshape(-1))
        return keys.reshape(count, *leaf.shape)
    return jnp.broadcast_to(leaf, (count, *leaf.shape))

"""The layer between two stages of a network whose symmetry shrinks with depth."""

from flax import nnx

from gequi_jax import functional
from gequi_jax._checks import check_group
from gequi_jax._typing import FeatureMap, OutFeatureMap
from gequi_jax.groups import FiniteGroup, subgroup_elements


class RestrictPoses(nnx.Module):
    """Feature maps on H as feature maps on a subgroup K: the poses split into cosets, which become channels.

        y_{ci}(x, k) = f_c(x, k r_i)

    for the representatives r_i of the right cosets K r_i. Equivariant under K: L_k on the input becomes L_k on the output.
    An element of H outside of K moves every entry to another coset, so that the layers that follow need not treat it as a
    symmetry. The layer has no parameters and loses no information: it only reorders entries.

    Args:
      group: the group H.
      subgroup: the subgroup K.

    Attributes:
      input_group: the group H.
      group: the group under which the layer is equivariant, K.

    Raises:
      ValueError: if K is not a subgroup of H; when called, if the group axis is not of size |H|.

    Reference: Weiler & Cesa (2019), "Group restrictions and inductions".

    Example:
      >>> import jax.numpy as jnp
      >>> from gequi_jax.groups import cyclic_group, dihedral_group
      >>> restrict = RestrictPoses(group=dihedral_group(4), subgroup=cyclic_group(4))
      >>> restrict(jnp.ones((2, 9, 9, 8, 3))).shape
      (2, 9, 9, 4, 6)
    """

    def __init__(self, *, group: FiniteGroup, subgroup: FiniteGroup):
        check_group(group)
        check_group(subgroup)
        subgroup_elements(group, subgroup)
        self.input_group = group
        self.group = subgroup

    def __call__(self, x: FeatureMap) -> OutFeatureMap:
        """Maps `[batch, *spatial, |H|, channels]` to `[batch, *spatial, |K|, channels * |H| / |K|]`."""
        return functional.restrict_poses(x, group=self.input_group, subgroup=self.group)

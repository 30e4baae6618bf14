"""The structure of a planar group: how many rotations it has, and whether it has mirrors."""

import numpy as np

from gequi_jax.groups._finite_group import FiniteGroup
from gequi_jax.groups._planar import cyclic_group, dihedral_group


def rotations_and_mirrors(group: FiniteGroup) -> tuple[int, bool]:
    """The number of rotations of a cyclic or dihedral group, and whether it has mirrors.

    Args:
      group: a group whose elements are in the order of `cyclic_group` or `dihedral_group`.

    Raises:
      ValueError: if the group is neither cyclic nor dihedral, or its elements are in another order.

    Example:
      >>> rotations_and_mirrors(dihedral_group(4))
      (4, True)
    """
    for rotations, mirrors in ((group.order, False), (group.order // 2, True)):
        if group.dim != 2 or rotations < 1 or rotations * (1 + mirrors) != group.order:
            continue
        known = dihedral_group(rotations) if mirrors else cyclic_group(rotations)
        if np.allclose(known.matrices, group.matrices, atol=1e-6):
            return rotations, mirrors
    raise ValueError(
        "group: expected a cyclic group (z2, r4, r8, ...) or a dihedral group (z2m, r4m, r8m, ...), the only ones of the "
        f"published code, with its elements in the order of gequi_jax.groups; got {group!r}."
    )

"""Which row of a pose encoding each triple of output, query and key pose reads.

A pose index is a function `group -> int table [output, query, key]` for group self-attention, whose encoding
rho_h((i, a), (j, b)) depends on an output pose h, a query pose a and a key pose b. The layer is equivariant if the
table is invariant under the group acting on all three: `table[k h, k a, k b] == table[h, a, b]`.
"""

from collections.abc import Callable

import numpy as np
from jaxtyping import Int

from gequi_jax.groups import FiniteGroup

PoseIndex = Callable[[FiniteGroup], Int[np.ndarray, "output query key"]]


def key_pose(group: FiniteGroup) -> Int[np.ndarray, "output query key"]:
    """h^-1 b, the pose of the key seen from the output: the default.

    It is the argument of a group convolution kernel, psi(g^-1 g'), so that group self-attention can express every group
    convolution. Invariant, since (k h)^-1 (k b) = h^-1 b. It has |H| rows.

    Args:
      group: the group H.

    Reference: replaces the pose in Romero & Cordonnier (2021), Eq. 16, h^-1 (a^-1 b), which is not invariant.
    """
    seen_from_output = group.cayley_table[group.inverses]  # [output, key]
    return np.broadcast_to(seen_from_output[:, None, :], (group.order,) * 3)


def is_invariant(pose_index: PoseIndex, group: FiniteGroup) -> bool:
    """Whether a pose index makes group self-attention equivariant: table[k h, k a, k b] == table[h, a, b] for all k.

    Args:
      pose_index: a function from a group to a table `[output, query, key]`.
      group: the group H.

    Example:
      >>> from gequi_jax.groups import dihedral_group
      >>> is_invariant(key_pose, dihedral_group(4))
      True
    """
    table = np.asarray(pose_index(group))
    return all(np.array_equal(table[np.ix_(k, k, k)], table) for k in group.cayley_table)

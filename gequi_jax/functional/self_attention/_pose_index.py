"""Which row of a pose encoding each triple of output, query and key pose reads.

A pose index is a function `group -> int table [output, query, key]` for group self-attention, whose encoding
rho_h((i, a), (j, b)) depends on an output pose h, a query pose a and a key pose b. The layer is equivariant if the
table is invariant under the group acting on all three: `table[k h, k a, k b] == table[h, a, b]`.

Of the indices here three are invariant for every group: `key_pose` (the default), `query_and_key_pose` and
`relative_pose`; so is `ge_vit_pose`. The other two, `printed_pose` and `published_pose`, reproduce a paper and its code
and break equivariance.
"""

from collections.abc import Callable

import numpy as np
from jaxtyping import Int

from gequi_jax.groups import FiniteGroup, rotations_and_mirrors

PoseIndex = Callable[[FiniteGroup], Int[np.ndarray, "output query key"]]


def key_pose(group: FiniteGroup) -> Int[np.ndarray, "output query key"]:
    """h^-1 b, the pose of the key relative to the output: the default.

    It is the argument of a group convolution kernel, psi(g^-1 g'), so that group self-attention can express every group
    convolution. Invariant, since (k h)^-1 (k b) = h^-1 b. It has |H| rows.

    Args:
      group: the group H.

    Reference: replaces the pose in Romero & Cordonnier (2021), Eq. 16, h^-1 (a^-1 b), which is not invariant.
    """
    return _broadcast(_relative_to(group)[:, None, :], group)


def query_and_key_pose(group: FiniteGroup) -> Int[np.ndarray, "output query key"]:
    """The pair (h^-1 a, h^-1 b): the poses of query and key, both relative to the output.

    Invariant, and the finest index that is: every invariant table is a function of this pair. It has |H|^2 rows.

    Args:
      group: the group H.

    Reference: an extension of Romero & Cordonnier (2021), Eq. 16.
    """
    relative = _relative_to(group)
    return _broadcast(relative[:, :, None] * group.order + relative[:, None, :], group)


def relative_pose(group: FiniteGroup) -> Int[np.ndarray, "output query key"]:
    """a^-1 b, the pose of the key relative to the query.

    Invariant, but the same for every output pose: after the sum over query poses the output no longer depends on the
    output pose through it, so it cannot express a group convolution. It has |H| rows.

    Args:
      group: the group H.

    Reference: Romero & Cordonnier (2021), the encoding before it is transformed, above Eq. 15.
    """
    return _broadcast(_relative_to(group)[None], group)


def ge_vit_pose(group: FiniteGroup) -> Int[np.ndarray, "output query key"]:
    """h^-1 a b^-1 a, the pose of a published correction.

    Invariant, since (k h)^-1 (k a) (k b)^-1 (k a) = h^-1 a b^-1 a. As a function of b it is a bijection for each query
    pose a, but a different one for each, and the sum over a mixes them: unlike `key_pose` it cannot select one key pose
    relative to the output. It has |H| rows. This is the formula of the paper; its published code is not equivariant to
    groups with mirroring.

    Args:
      group: the group H.

    Reference: Xu et al. (2023), E(2)-Equivariant Vision Transformer.
    """
    product, inverse = group.cayley_table, group.inverses
    query_from_output = _relative_to(group)[:, :, None]
    query_from_key = product[inverse].T[None]  # [1, query, key]: b^-1 a
    return _broadcast(product[query_from_output, query_from_key], group)


def printed_pose(group: FiniteGroup) -> Int[np.ndarray, "output query key"]:
    """h^-1 (a^-1 b), as the paper prints it: NOT invariant, for comparison only.

    Under k it becomes h^-1 k^-1 (a^-1 b), so that group self-attention with it is not equivariant to any group but the
    trivial one. It has |H| rows.

    Args:
      group: the group H.

    Reference: Romero & Cordonnier (2021), Eq. 16 and the definition of L_h[rho] above it.
    """
    return _broadcast(group.cayley_table[group.inverses][:, _relative_to(group)], group)


def published_pose(group: FiniteGroup) -> Int[np.ndarray, "output query key"]:
    """The table of the published code: NOT invariant, for reproducing that code only.

    With the published element v = (rotation, mirroring) for each of ours, m the key and g the query, and R[g, m] the
    element M_m M_g^-1 of the published matrices:

        cyclic groups:    R[g, m + v]
        dihedral groups:  R[g', m], g' = (r + a, 0) or (r - a, 1) for g = (r, s), v = (a, 0) and s = 0 or 1,
                                    g' = (r - a, 1) or (r + a, 0) for g = (r, s), v = (a, 1) and s = 0 or 1

    The shift acts on the key of a cyclic group and on the query of a dihedral one. Rows are published elements.

    Args:
      group: a cyclic or dihedral group, with its elements in the order of `gequi_jax.groups`.

    Raises:
      ValueError: if the group is neither; the published code has no other groups.

    Reference: the code published with Romero & Cordonnier (2021).
    """
    rotations, mirrors = rotations_and_mirrors(group)
    # The published code moves coordinates by M_v where an action on functions moves them by h^-1: h = M_v^-1.
    v, g, m = np.ogrid[: group.order, : group.order, : group.order]
    if mirrors:
        moved_query = _published_query_shift(v, g, rotations)
        published = _published_quotient(moved_query, m, rotations)
    else:
        published = (m + v - g) % rotations
    ours = group.inverses
    return published[np.ix_(ours, ours, ours)]


def is_invariant(pose_index: PoseIndex, group: FiniteGroup) -> bool:
    """Whether a pose index makes group self-attention equivariant: table[k h, k a, k b] == table[h, a, b] for all k.

    Args:
      pose_index: a function from a group to a table `[output, query, key]`.
      group: the group H.

    Example:
      >>> from gequi_jax.groups import dihedral_group
      >>> is_invariant(key_pose, dihedral_group(4)), is_invariant(printed_pose, dihedral_group(4))
      (True, False)
    """
    table = np.asarray(pose_index(group))
    return all(np.array_equal(table[np.ix_(k, k, k)], table) for k in group.cayley_table)


def _relative_to(group: FiniteGroup) -> Int[np.ndarray, "order order"]:
    """`[h, b] -> h^-1 b`."""
    return group.cayley_table[group.inverses]


def _published_query_shift(v: np.ndarray, g: np.ndarray, rotations: int) -> np.ndarray:
    angle, mirror = g % rotations, g // rotations
    turn, flip = v % rotations, v // rotations
    shifted = np.where(mirror == flip, angle + turn, angle - turn) % rotations
    return shifted + rotations * (mirror != flip)


def _published_quotient(g: np.ndarray, m: np.ndarray, rotations: int) -> np.ndarray:
    """The element M_m M_g^-1."""
    query, key = g % rotations, m % rotations
    query_mirror, key_mirror = g // rotations, m // rotations
    turned = np.where(query_mirror == key_mirror, key - query, key + query) % rotations
    return turned + rotations * (query_mirror != key_mirror)


def _broadcast(table: np.ndarray, group: FiniteGroup) -> Int[np.ndarray, "output query key"]:
    return np.broadcast_to(table, (group.order,) * 3)

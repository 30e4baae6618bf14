"""Subgroups: closure, conjugacy classes, the embedding of a subgroup and its cosets."""

from collections.abc import Iterable

import numpy as np
from jaxtyping import Int

from gequi_jax.groups._finite_group import FiniteGroup

_TOLERANCE = 1e-6


def subgroup_elements(group: FiniteGroup, subgroup: FiniteGroup) -> Int[np.ndarray, " subgroup"]:
    """The embedding of K in H: `subgroup_elements(H, K)[k]` is the index in H of element k of K.

    Elements are compared by their matrices, so any group whose matrices are among those of H is a subgroup of it.

    Args:
      group: the group H.
      subgroup: the subgroup K.

    Raises:
      ValueError: if K has another dimension, or an element that is not in H.

    Example:
      >>> from gequi_jax.groups import cyclic_group
      >>> subgroup_elements(cyclic_group(8), cyclic_group(4)).tolist()
      [0, 2, 4, 6]
    """
    if subgroup.dim != group.dim:
        raise ValueError(
            f"subgroup: expected a subgroup of {group.name}, of dimension {group.dim}; "
            f"got {subgroup.name}, of dimension {subgroup.dim}."
        )
    distance = np.abs(subgroup.matrices[:, None] - group.matrices[None]).max(axis=(2, 3))
    missing = distance.min(axis=1) > _TOLERANCE
    if missing.any():
        raise ValueError(
            f"subgroup: expected a subgroup of {group.name}; got {subgroup.name}, whose element {int(missing.argmax())} "
            f"is not in it. {group.name}.subgroups() lists the subgroups up to conjugation."
        )
    return distance.argmin(axis=1)


def right_cosets(group: FiniteGroup, subgroup: FiniteGroup) -> Int[np.ndarray, "coset subgroup"]:
    """The right cosets K r_i, the orbits of K on H by left multiplication: entry [i, k] is the index of k r_i.

    They split the poses of a feature map when the symmetry is restricted to K. With f_i(x, k) = f(x, k r_i),

        (L_k' f)_i(x, k) = f(k'^-1 x, k'^-1 k r_i) = f_i(k'^-1 x, k'^-1 k)   for k' in K,

    so f becomes |H| / |K| feature maps on R^d x| K, stacked along the channels. The kernel of a group convolution on H
    becomes psi_ij(x, k) = psi(r_i^-1 x, r_i^-1 k r_j), from input coset j to output coset i.

    Args:
      group: the group H.
      subgroup: the subgroup K.

    Returns:
      Indices in H. Row 0 is K itself. Representatives r_i, the column of the identity of K, are the smallest indices
      that no earlier coset holds, except r_0, which is the identity.

    Raises:
      ValueError: if K is not a subgroup of H.

    Example:
      >>> from gequi_jax.groups import cyclic_group, dihedral_group
      >>> right_cosets(dihedral_group(4), cyclic_group(4)).tolist()
      [[0, 1, 2, 3], [4, 5, 6, 7]]
    """
    return _cosets(group, subgroup, group.cayley_table)


def left_cosets(group: FiniteGroup, subgroup: FiniteGroup) -> Int[np.ndarray, "coset subgroup"]:
    """The left cosets r_i K, the points of the quotient H / K: entry [i, k] is the index of r_i k.

    H permutes them: left multiplication by h maps r_i K to (h r_i) K. So the reduction of a feature map over each left
    coset is a function on R^d x H / K that all of H transforms.

    Args:
      group: the group H.
      subgroup: the subgroup K.

    Returns:
      Indices in H, with representatives as in `right_cosets`.

    Raises:
      ValueError: if K is not a subgroup of H.

    Example:
      >>> from gequi_jax.groups import dihedral_group, mirror_group
      >>> left_cosets(dihedral_group(4), mirror_group()).tolist()
      [[0, 4], [1, 5], [2, 6], [3, 7]]
    """
    return _cosets(group, subgroup, group.cayley_table.T)


def make_subgroup(group: FiniteGroup, elements: Iterable[int], name: str | None) -> FiniteGroup:
    """`FiniteGroup.subgroup`."""
    given = list(elements)
    legal = all(isinstance(g, int | np.integer) and not isinstance(g, bool) and 0 <= g < group.order for g in given)
    if not legal or len(set(given)) < len(given) or not given:
        raise ValueError(
            f"elements: expected distinct indices from 0 to {group.order - 1} of {group.name}; got {given!r}."
        )
    chosen = np.array(given)
    products = group.cayley_table[np.ix_(chosen, chosen)]
    missing = np.argwhere(~np.isin(products, chosen))
    if len(missing):
        g, h = chosen[missing[0]].tolist()
        raise ValueError(
            f"elements: expected a subset of {group.name} that is closed under the product; got {given!r}, "
            f"which lacks {g} times {h} = {group.cayley_table[g, h]}."
        )
    return FiniteGroup(group.matrices[chosen], name=name or f"subgroup of order {len(chosen)} of {group.name}")


def conjugacy_classes_of_subgroups(group: FiniteGroup) -> tuple[FiniteGroup, ...]:
    """`FiniteGroup.subgroups`, by cyclic extension.

    Every subgroup grows from the trivial one by adding one element at a time, and a conjugate of it grows from the
    chosen member of each class, so only those are extended.
    """
    generators = _cyclic_subgroups(group)
    subgroups: list[tuple[int, ...]] = [(group.identity,)]
    known = set(subgroups)
    for base in subgroups:  # grows while it is read
        for cyclic in generators:
            if not set(cyclic) <= set(base):
                extended = _smallest_conjugate(group, _closure(group, (*base, *cyclic)))
                if extended not in known:
                    known.add(extended)
                    subgroups.append(extended)
    return tuple(make_subgroup(group, elements, None) for elements in sorted(subgroups, key=lambda s: (len(s), s)))


def _cosets(group: FiniteGroup, subgroup: FiniteGroup, products: np.ndarray) -> np.ndarray:
    elements = subgroup_elements(group, subgroup)
    taken = np.zeros(group.order, bool)
    cosets = []
    for representative in (group.identity, *range(group.order)):
        if not taken[representative]:
            coset = products[elements, representative]
            taken[coset] = True
            cosets.append(coset)
    table = np.stack(cosets)
    table.setflags(write=False)
    return table


def _cyclic_subgroups(group: FiniteGroup) -> list[tuple[int, ...]]:
    return sorted({_closure(group, (g,)) for g in range(group.order)})


def _closure(group: FiniteGroup, elements: Iterable[int]) -> tuple[int, ...]:
    generators = sorted(set(elements))
    inside = np.zeros(group.order, bool)
    frontier = np.array([group.identity])
    while frontier.size:
        inside[frontier] = True
        reached = np.unique(group.cayley_table[np.ix_(frontier, generators)])
        frontier = reached[~inside[reached]]
    return tuple(np.flatnonzero(inside).tolist())


def _smallest_conjugate(group: FiniteGroup, elements: tuple[int, ...]) -> tuple[int, ...]:
    """The member of a class whose sorted indices come first."""
    table, everything = group.cayley_table, np.arange(group.order)
    conjugates = table[table[:, list(elements)], group.inverses[everything][:, None]]  # [h, k] -> h k h^-1
    return min(map(tuple, np.sort(conjugates, axis=1).tolist()))

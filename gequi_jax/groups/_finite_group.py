"""A finite group of matrices, verified when it is built.

Everything else in the package is derived from the matrices kept here: no layer knows what a rotation is.
"""

from collections.abc import Iterable

import numpy as np
from jaxtyping import Float, Int
from numpy.typing import ArrayLike

_TOLERANCE = 1e-6


class FiniteGroup:
    """A finite group H of real d x d matrices, the point group of G = R^d x| H.

    The group axioms are verified: the matrices are distinct, closed under the product, and contain the identity;
    inverses and associativity follow for a finite set of matrices. Elements are named by their index.

    Entries within 1e-9 of an integer are made exactly that integer, so that cos 90 degrees is 0 and not 6e-17:
    a normalisation inside a positional encoding would amplify such a residue.

    Groups are immutable, compare and hash by their matrices, and can therefore be static arguments of `jax.jit`.

    Attributes:
      matrices: the elements, `[order, dim, dim]`, float64, read-only.
      cayley_table: `cayley_table[g, h]` is the index of the product g h.
      inverses: `inverses[g]` is the index of g^-1.
      identity: the index of the identity.
      name: what printed messages call the group; it takes no part in comparisons.

    Raises:
      ValueError: if the matrices do not form a group; the message names the axiom and the elements that break it.

    Example:
      >>> half_turn = FiniteGroup([np.eye(2), -np.eye(2)], name="half turn")
      >>> half_turn.order, half_turn.dim, half_turn.inverses.tolist()
      (2, 2, [0, 1])
    """

    __slots__ = ("cayley_table", "identity", "inverses", "matrices", "name")

    matrices: Float[np.ndarray, "order dim dim"]
    cayley_table: Int[np.ndarray, "order order"]
    inverses: Int[np.ndarray, " order"]
    identity: int
    name: str

    def __init__(self, matrices: ArrayLike, *, name: str = "unnamed group"):
        snapped = _snap(_checked_matrices(matrices))
        table = _product_table(snapped)
        order, dim, _ = snapped.shape
        identities = [g for g in range(order) if np.abs(snapped[g] - np.eye(dim)).max() < _TOLERANCE]
        if not identities:
            raise ValueError(
                f"{name}: a group contains the identity matrix, but none of the {order} matrices is the identity; add it."
            )
        (identity,) = identities
        set_once = object.__setattr__
        set_once(self, "matrices", _read_only(snapped))
        set_once(self, "cayley_table", _read_only(table))
        set_once(self, "inverses", _read_only(np.argwhere(table == identity)[:, 1]))
        set_once(self, "identity", identity)
        set_once(self, "name", name)

    @classmethod
    def generate(
        cls, generators: Iterable[ArrayLike], *, name: str = "unnamed group", max_order: int = 1024
    ) -> "FiniteGroup":
        """The smallest group that contains the given matrices; the identity is element 0.

        Args:
          generators: d x d matrices of finite order.
          name: what printed messages call the group.
          max_order: where the search stops; generators of infinite order would never end it.

        Raises:
          ValueError: if more than `max_order` elements are found, or the matrices have no common square shape.

        Example:
          >>> FiniteGroup.generate([[[0, -1], [1, 0]], [[1, 0], [0, -1]]]).order
          8
        """
        steps = _snap(_checked_matrices(list(generators)))
        elements = [np.eye(steps.shape[-1])]
        frontier = list(elements)
        while frontier:
            candidates = [_snap(step @ element) for element in frontier for step in steps]
            frontier = []
            for candidate in candidates:
                if np.abs(np.asarray(elements) - candidate).max(axis=(1, 2)).min() > _TOLERANCE:
                    elements.append(candidate)
                    frontier.append(candidate)
            if len(elements) > max_order:
                raise ValueError(
                    f"{name}: the generators produce more than max_order={max_order} elements; "
                    "use matrices of finite order, such as rotations by a rational angle and reflections."
                )
        return cls(np.stack(elements), name=name)

    @property
    def order(self) -> int:
        """The number of elements |H|."""
        return self.matrices.shape[0]

    @property
    def dim(self) -> int:
        """The dimension d of the space that the group acts on."""
        return self.matrices.shape[1]

    def subgroup(self, elements: Iterable[int], *, name: str | None = None) -> "FiniteGroup":
        """The subgroup of the given elements, in the given order.

        `gequi_jax.groups.subgroup_elements` maps its elements back to those of this group.

        Args:
          elements: indices into this group.
          name: what printed messages call the subgroup.

        Raises:
          ValueError: if the indices are not distinct elements, or not closed under the product; the message names the
            product that is missing.

        Example:
          >>> from gequi_jax.groups import cyclic_group
          >>> cyclic_group(8).subgroup([0, 2, 4, 6]) == cyclic_group(4)
          True
        """
        from gequi_jax.groups._subgroups import make_subgroup

        return make_subgroup(self, elements, name)

    def subgroups(self) -> tuple["FiniteGroup", ...]:
        """One subgroup of each conjugacy class, from the trivial group to the whole group, by order.

        Of each class it is the one whose sorted indices come first.

        Example:
          >>> from gequi_jax.groups import dihedral_group
          >>> [subgroup.order for subgroup in dihedral_group(4).subgroups()]
          [1, 2, 2, 2, 4, 4, 4, 8]
        """
        from gequi_jax.groups._subgroups import conjugacy_classes_of_subgroups

        return conjugacy_classes_of_subgroups(self)

    def __len__(self) -> int:
        return self.order

    def __eq__(self, other: object) -> bool:
        return isinstance(other, FiniteGroup) and np.array_equal(self.matrices, other.matrices)

    def __hash__(self) -> int:
        return hash((self.matrices.shape, self.matrices.tobytes()))

    def __setattr__(self, name: str, value: object):
        raise AttributeError(f"a FiniteGroup is immutable: cannot set {name!r}; build another group instead.")

    def __copy__(self) -> "FiniteGroup":
        return self

    def __deepcopy__(self, memo: dict) -> "FiniteGroup":
        return self

    def __reduce__(self):
        return (_rebuild, (np.array(self.matrices), self.name))

    def __repr__(self) -> str:
        return f"FiniteGroup(name={self.name!r}, order={self.order}, dim={self.dim})"


def _rebuild(matrices: np.ndarray, name: str) -> FiniteGroup:
    return FiniteGroup(matrices, name=name)


def _checked_matrices(matrices: ArrayLike | list[ArrayLike]) -> Float[np.ndarray, "order dim dim"]:
    try:
        array = np.asarray(matrices, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"matrices: expected real numbers of shape [order, dim, dim], one square matrix an element; got {matrices!r}."
        ) from error
    if array.ndim != 3 or array.shape[0] == 0 or array.shape[1] != array.shape[2] or array.shape[1] == 0:
        raise ValueError(
            f"matrices: expected shape [order, dim, dim], one square matrix an element; got shape {array.shape}."
        )
    if not np.isfinite(array).all():
        raise ValueError("matrices: expected finite numbers; got NaN or infinity.")
    return array


def _snap(matrices: np.ndarray) -> np.ndarray:
    nearest = np.round(matrices)
    # Adding 0.0 turns -0.0 into 0.0, so that equal groups have equal bytes and hash alike.
    return np.where(np.abs(matrices - nearest) < 1e-9, nearest, matrices) + 0.0


def _product_table(matrices: np.ndarray) -> Int[np.ndarray, "order order"]:
    order = len(matrices)
    flat = matrices.reshape(order, -1)
    same = np.abs(flat[:, None] - flat[None]).max(axis=-1) < _TOLERANCE
    if same.sum() > order:
        first, second = np.argwhere(np.triu(same, k=1))[0]
        raise ValueError(f"the elements of a group are distinct, but matrices {first} and {second} are equal.")
    table = np.empty((order, order), dtype=np.int64)
    for g in range(order):
        distance = np.abs((matrices[g] @ matrices).reshape(order, 1, -1) - flat[None]).max(axis=-1)
        table[g] = distance.argmin(axis=1)
        missing = distance.min(axis=1) > _TOLERANCE
        if missing.any():
            h = int(missing.argmax())
            raise ValueError(
                f"a group is closed under the product, but matrix {g} times matrix {h} is none of the {order} matrices; "
                "FiniteGroup.generate builds the closure of a few matrices."
            )
    return table


def _read_only(array: np.ndarray) -> np.ndarray:
    array = np.array(array)
    array.setflags(write=False)
    return array

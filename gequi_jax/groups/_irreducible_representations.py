"""The irreducible representations of a finite group over the real numbers, with their types."""

import dataclasses
import functools

import numpy as np
from jaxtyping import Float, Int

from gequi_jax._checks import check_group
from gequi_jax.groups._finite_group import FiniteGroup
from gequi_jax.groups._representation_basis import adapted_basis, nearest_representation

_TYPES = {1: "real", 2: "complex", 4: "quaternionic"}
_TOLERANCE = 1e-12
_SEEDS = 16


@dataclasses.dataclass(frozen=True, eq=False)
class IrreducibleRepresentation:
    """An irreducible real representation rho of a finite group H, by orthogonal matrices.

        rho(g h) = rho(g) rho(h)

    The matrices that commute with all rho(h) form the real numbers, the complex numbers or the quaternions: the type.
    The basis is adapted to the type. Coordinates come in runs of `endomorphism_dim`, and those commuting matrices act on
    every run in the same way.

    Attributes:
      matrices: `[order, dim, dim]`, float64, read-only.
      type: "real", "complex" or "quaternionic".
    """

    matrices: Float[np.ndarray, "order dim dim"]
    type: str

    @property
    def dim(self) -> int:
        """The dimension of the representation."""
        return self.matrices.shape[-1]

    @property
    def endomorphism_dim(self) -> int:
        """The dimension of the space of commuting matrices: 1, 2 or 4."""
        return next(dim for dim, name in _TYPES.items() if name == self.type)

    @property
    def multiplicity(self) -> int:
        """How often it occurs in the regular representation: dim / endomorphism_dim."""
        return self.dim // self.endomorphism_dim

    @property
    def character(self) -> Float[np.ndarray, " order"]:
        """The trace of rho(h), for every element h."""
        return np.trace(self.matrices, axis1=1, axis2=2)


@functools.cache
def irreducible_representations(group: FiniteGroup) -> tuple[IrreducibleRepresentation, ...]:
    """All irreducible real representations of a finite group, one of each equivalence class.

    The regular representation contains each of them. A random symmetric operator that commutes with it has one
    eigenspace for each irreducible copy. Basis and matrices are then made unique, up to round-off, by a basis adapted to
    the elements in their order, so that the result depends on the group alone. The representations are verified to 1e-12:

        rho(g) rho(h) = rho(g h),   rho(h)^T rho(h) = 1,
        1/|H| sum_h rho(h)_ij sigma(h)_kl = 0 for rho != sigma,   sum_rho dim_rho^2 / endomorphism_dim_rho = |H|

    Args:
      group: the group H.

    Returns:
      The trivial representation first; then by dimension, type and character.

    Raises:
      ValueError: if `group` is not a FiniteGroup.
      ArithmeticError: if round-off prevents a decomposition that passes these checks.

    Reference: Serre, *Linear Representations of Finite Groups* (1977), sections 2.4 and 13.2.

    Example:
      >>> from gequi_jax.groups import cyclic_group
      >>> [(rho.dim, rho.type) for rho in irreducible_representations(cyclic_group(5))]
      [(1, 'real'), (2, 'complex'), (2, 'complex')]
    """
    check_group(group)
    for seed in range(_SEEDS):
        copies = _irreducible_copies(group, seed)
        if copies is not None:
            break
    else:
        raise ArithmeticError(f"{group.name}: round-off prevents a decomposition of the regular representation.")
    irreps = tuple(sorted((_finished(group, matrices) for matrices in copies), key=_sort_key))
    _verify(group, irreps)
    return irreps


def _irreducible_copies(group: FiniteGroup, seed: int) -> list[np.ndarray] | None:
    """One copy of each irreducible representation, or None where eigenvalues of different copies are too close."""
    weights = np.random.default_rng(seed).normal(size=group.order)
    weights = weights + weights[group.inverses]
    left = group.cayley_table[group.inverses]  # [g, h] -> g^-1 h
    eigenvalues, vectors = np.linalg.eigh(weights[left])
    gaps = np.diff(eigenvalues) / np.abs(eigenvalues).max()
    if ((gaps > 1e-10) & (gaps < 1e-6)).any():
        return None
    copies: list[np.ndarray] = []
    characters: list[np.ndarray] = []
    for basis in np.split(vectors, np.flatnonzero(gaps > 1e-8) + 1, axis=1):
        character = np.einsum("hi,ghi->g", basis, basis[left])
        if not any(np.abs(character - known).max() < 1e-6 for known in characters):
            characters.append(character)
            copies.append(np.einsum("hi,ghj->gij", basis, basis[left]))
    complete = sum(len(rho[0]) ** 2 / _squared_norm(chi) for rho, chi in zip(copies, characters, strict=True))
    return copies if abs(complete - group.order) < 1e-3 else None


def _finished(group: FiniteGroup, matrices: np.ndarray) -> IrreducibleRepresentation:
    character = np.trace(matrices, axis1=1, axis2=2)
    basis = adapted_basis(matrices)
    matrices = nearest_representation(basis.T @ matrices @ basis, group.cayley_table)
    matrices.setflags(write=False)
    return IrreducibleRepresentation(matrices, _TYPES[round(_squared_norm(character))])


def _squared_norm(character: np.ndarray) -> float:
    """The dimension of the space of commuting matrices: 1 / |H| sum_h chi(h)^2."""
    return float(np.mean(character**2))


def _sort_key(rho: IrreducibleRepresentation):
    # The trivial representation has the largest character of its dimension.
    return rho.dim, rho.endomorphism_dim, tuple(-np.round(rho.character, 6) + 0.0)


def _verify(group: FiniteGroup, irreps: tuple[IrreducibleRepresentation, ...]) -> None:
    errors = [_homomorphism_error(rho.matrices, group.cayley_table) for rho in irreps]
    errors += [np.abs(rho.matrices.transpose(0, 2, 1) @ rho.matrices - np.eye(rho.dim)).max() for rho in irreps]
    flat = np.concatenate([rho.matrices.reshape(group.order, -1) for rho in irreps], axis=1)
    different = np.repeat(np.arange(len(irreps)), [rho.dim**2 for rho in irreps])
    inner = flat.T @ flat / group.order
    errors.append(np.abs(inner[different[:, None] != different[None]]).max(initial=0.0))
    if max(errors) > _TOLERANCE or sum(rho.dim * rho.multiplicity for rho in irreps) != group.order:
        raise ArithmeticError(f"{group.name}: irreducible representations are off by {max(errors):.1e}.")


def _homomorphism_error(matrices: np.ndarray, table: Int[np.ndarray, "order order"]) -> float:
    return max(float(np.abs(matrices[g] @ matrices - matrices[table[g]]).max()) for g in range(len(matrices)))

"""The group Fourier basis: the orthogonal change of basis that makes equivariant maps block-diagonal."""

import dataclasses
import functools

import numpy as np
from jaxtyping import Float

from gequi_jax.groups._finite_group import FiniteGroup
from gequi_jax.groups._irreducible_representations import IrreducibleRepresentation, irreducible_representations


@functools.cache
def group_fourier_basis(group: FiniteGroup) -> Float[np.ndarray, "group group"]:
    """The orthogonal matrix F of the group Fourier transform, one row for each matrix coefficient.

        F[(rho, j, i), h] = sqrt(dim_rho / |H|) rho(h)_ij

    i runs over the coordinates of rho. j runs over its copies in the regular representation: all coordinates for the
    real type, every second one for the complex type, every fourth one for the quaternionic type. Left translation
    (L_g f)(h) = f(g^-1 h) becomes block-diagonal, with the block rho(g) for each (rho, j).

    Args:
      group: the group H.

    Returns:
      F, `[group, group]`, float64, read-only: rows in the order of `irreducible_representations(group)`, then j, then i.

    Reference: Serre, *Linear Representations of Finite Groups* (1977), sections 2.2 and 13.2.

    Example:
      >>> from gequi_jax.groups import dihedral_group
      >>> basis = group_fourier_basis(dihedral_group(4))
      >>> bool(np.allclose(basis @ basis.T, np.eye(8)))
      True
    """
    rows = [
        np.sqrt(rho.dim / group.order) * _coefficients(rho).transpose(1, 0, 2).reshape(-1, group.order)
        for rho in irreducible_representations(group)
    ]
    return _read_only(np.concatenate(rows))


@dataclasses.dataclass(frozen=True, eq=False)
class FourierBlock:
    """What one irreducible representation adds to an equivariant linear map y(h) = sum_m W(h^-1 m) x(m).

        x_i,q = sum_h analysis[i, q, h] x(h)
        y_i,p = sum_q (sum_u kernel[u, q, p] W(u)) x_i,q
        y(h)  = sum over blocks, i and p of analysis[i, p, h] y_i,p

    The coordinates of a representation are (i, a), with a inside a run of the size of the type. q and p are (j, a) with a
    copy j: the map is the same for all i, so one product of matrices serves them all. Scales are in the kernel, so that
    the analysis holds the plain matrix coefficients, many of which are 0, 1 or -1.

    Attributes:
      analysis: `[rows, features, group]`.
      kernel: `[group, features, features]`.
    """

    analysis: Float[np.ndarray, "rows features group"]
    kernel: Float[np.ndarray, "group features features"]


@functools.cache
def fourier_blocks(group: FiniteGroup) -> tuple[FourierBlock, ...]:
    """The blocks of all irreducible representations, in their order."""
    return tuple(_block(group, rho) for rho in irreducible_representations(group))


def _block(group: FiniteGroup, rho: IrreducibleRepresentation) -> FourierBlock:
    rows = rho.dim // rho.endomorphism_dim
    analysis = _coefficients(rho).reshape(rows, rho.endomorphism_dim, rho.multiplicity, group.order)
    analysis = analysis.transpose(0, 2, 1, 3).reshape(rows, -1, group.order)
    # W = delta_u is the right translation x(h) -> x(h u), and its block is the same in every row.
    first = analysis[0]
    translations = np.stack([first[:, moved] @ first.T for moved in group.cayley_table.T])  # [u, q, p]
    return FourierBlock(_read_only(analysis), _read_only((rho.dim / group.order) ** 2 * translations))


def _coefficients(rho: IrreducibleRepresentation) -> np.ndarray:
    """rho(h)_ij as `[i, j, h]`, with one j of each run: orthogonal functions of h of squared norm |H| / dim."""
    return rho.matrices[:, :, :: rho.endomorphism_dim].transpose(1, 2, 0)


def _read_only(array: np.ndarray) -> np.ndarray:
    array = np.array(array)
    array.setflags(write=False)
    return array

"""The bispectrum of functions of the pose: invariants that determine the function up to the group."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np

from gequi_jax._checks import check_group, check_group_axis
from gequi_jax._typing import Array, Float
from gequi_jax.groups import FiniteGroup, IrreducibleRepresentation, irreducible_representations


def bispectrum(
    x: Float[Array, "*batch group channels"], *, group: FiniteGroup, precision: jax.lax.PrecisionLike = "highest"
) -> Float[Array, "*batch invariants channels"]:
    """Invariants of third degree that keep how the values of the poses are arranged.

        F_rho = 1/|H| sum_h f(h) rho(h)
        B_{rho,sigma} = (F_rho ⊗ F_sigma)^T 1/|H| sum_h f(h) rho(h) ⊗ sigma(h)

    and the mean over poses, F_1. Invariant: under L_g both factors of B are multiplied by the orthogonal matrix
    rho(g) ⊗ sigma(g), which cancels. The last factor is C diag(F_tau, ...) C^T with the Clebsch-Gordan matrix C of
    rho ⊗ sigma; the sum over h gives it without C, for representations of every type. For commutative groups the entries
    are the real and imaginary parts of the products F_rho F_sigma conj(F_{rho sigma}) of characters.

    sigma runs over all irreducible representations and rho over the fewest whose direct sum is faithful: their products
    contain every representation. So B determines f up to L_g wherever all F_rho are invertible, unlike the maximum and
    the mean over poses.

    Args:
      x: functions of the pose f, `[..., group, channels]`.
      group: the group H.
      precision: as in `jax.numpy.einsum`.

    Returns:
      `[..., invariants, channels]`; `num_invariants` of them, at most |H|^2 and often far fewer.

    Raises:
      ValueError: if the group axis is not of size |H|.

    Reference: Kakarala (1992); Sanborn & Miolane (2023); Mataigne et al. (2024).

    Example:
      >>> from gequi_jax.groups import cyclic_group
      >>> x = jnp.asarray([1.0, 2.0, 3.0, 4.0])[:, None]
      >>> invariants = functools.partial(bispectrum, group=cyclic_group(4))
      >>> mirrored, rotated = invariants(x[::-1]), invariants(jnp.roll(x, 1, axis=0))
      >>> bool(jnp.allclose(rotated, invariants(x))), bool(jnp.allclose(mirrored, invariants(x)))
      (True, False)
    """
    check_group(group)
    check_group_axis(x, group, axis=-2)
    product = functools.partial(jnp.einsum, precision=precision)
    parts = [x.mean(axis=-2, keepdims=True)]
    for pair in _pairs(group):
        first = product("hai,...hc->...aic", jnp.asarray(pair.first, x.dtype), x)
        second = product("hbj,...hc->...bjc", jnp.asarray(pair.second, x.dtype), x)
        both = product("habkl,...hc->...abklc", jnp.asarray(pair.both, x.dtype), x)
        half = product("...aic,...abklc->...ibklc", first, both)
        invariants = product("...bjc,...ibklc->...ijklc", second, half)
        parts.append(invariants.reshape(*x.shape[:-2], -1, x.shape[-1]))
    return jnp.concatenate(parts, axis=-2)


def num_invariants(group: FiniteGroup) -> int:
    """The number of invariants of `bispectrum`.

    Args:
      group: the group H.
    """
    sizes = (pair.first.shape[-1] * pair.second.shape[-1] * np.prod(pair.both.shape[-2:]) for pair in _pairs(group))
    return 1 + int(sum(sizes))


@dataclasses.dataclass(frozen=True, eq=False)
class _Pair:
    """The matrices of one pair of representations, divided by |H|.

    Attributes:
      first, second: the independent columns of rho and sigma, `[group, rows, columns]`.
      both: rho ⊗ sigma, `[group, rows of rho, rows of sigma, columns of rho, columns of sigma]`.
    """

    first: Float[np.ndarray, "group a i"]
    second: Float[np.ndarray, "group b j"]
    both: Float[np.ndarray, "group a b k l"]


@functools.cache
def _pairs(group: FiniteGroup) -> tuple[_Pair, ...]:
    irreps = irreducible_representations(group)
    pairs = []
    for rho in _faithful(group):
        for sigma in irreps:
            both = np.einsum("hak,hbl->habkl", rho.matrices, sigma.matrices)
            first, second = (tau.matrices[:, :, :: tau.endomorphism_dim] for tau in (rho, sigma))
            pairs.append(_Pair(first / group.order, second / group.order, both / group.order))
    return tuple(pairs)


def _faithful(group: FiniteGroup) -> tuple[IrreducibleRepresentation, ...]:
    """The fewest irreducible representations whose direct sum is faithful, nearly: each next one separates the most."""
    chosen: list[IrreducibleRepresentation] = []
    kernel = np.ones(group.order, bool)
    while kernel.sum() > 1:
        kernels = {rho: kernel & (np.abs(rho.character - rho.dim) < 1e-6) for rho in irreducible_representations(group)}
        best = min(kernels, key=lambda rho: (kernels[rho].sum(), rho.dim))
        chosen.append(best)
        kernel = kernels[best]
    return tuple(chosen)

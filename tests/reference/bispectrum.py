"""The bispectrum by loops: of commutative groups by characters, of others by Kronecker products."""

import numpy as np


def bispectrum_of_characters(f):
    """F_k F_l conj(F_{k + l}) of a function on the cyclic group, for all k and l."""
    transform = np.fft.fft(f) / len(f)
    n = len(f)
    return np.array(
        [[transform[k] * transform[m] * np.conj(transform[(k + m) % n]) for m in range(n)] for k in range(n)]
    )


def bispectrum_of_pair(f, rho, sigma):
    """(F_rho ⊗ F_sigma)^T mean_h f(h) rho(h) ⊗ sigma(h) for matrices `[h, i, j]`."""
    first = sum(value * matrix for value, matrix in zip(f, rho, strict=True)) / len(f)
    second = sum(value * matrix for value, matrix in zip(f, sigma, strict=True)) / len(f)
    both = sum(f[h] * np.kron(rho[h], sigma[h]) for h in range(len(f))) / len(f)
    return np.kron(first, second).T @ both

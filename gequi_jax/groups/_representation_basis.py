"""Bases of irreducible representations: unique up to round-off, and adapted to the real, complex or quaternionic type."""

import numpy as np
from jaxtyping import Float, Int

_SAME = 1e-6
_ITERATIONS = 3


def adapted_basis(matrices: Float[np.ndarray, "order dim dim"]) -> Float[np.ndarray, "dim dim"]:
    """An orthogonal matrix Q such that Q^T rho(h) Q depends on the equivalence class of rho alone, up to round-off.

    The space is split by the eigenspaces of the symmetric parts of rho(h), for the elements in their order, until all
    symmetric parts are multiples of the identity. The parts that remain are lines over the real numbers, the complex
    numbers or the quaternions. The first line gets the basis u, rho(g) u, ... with u removed, and every other line the
    image of this basis under the part of some rho(g) that maps the first line to it. The matrices that commute with rho
    therefore act on all lines alike.
    """
    first, *others = _lines(matrices, np.eye(matrices.shape[-1]))
    start = first @ _basis_of_line(first.T @ matrices @ first)
    return np.concatenate([start, *(_transported(matrices, start, line) for line in others)], axis=1)


def nearest_representation(
    matrices: Float[np.ndarray, "order dim dim"], table: Int[np.ndarray, "order order"]
) -> Float[np.ndarray, "order dim dim"]:
    """A representation to machine precision, from matrices that are one up to round-off.

        rho(g) <- orthogonal factor of 1/|H| sum_h rho(g h) rho(h)^T

    A fixed point is a representation; the error is squared by each iteration. Entries within 1e-9 of an integer or of
    half an integer are made exact.
    """
    for _ in range(_ITERATIONS):
        means = np.stack([np.einsum("hij,hkj->ik", matrices[row], matrices) for row in table])
        left, _, right = np.linalg.svd(means)
        matrices = left @ right
    halves = np.round(2 * matrices) / 2
    return np.where(np.abs(matrices - halves) < 1e-9, halves, matrices) + 0.0


def _lines(matrices: np.ndarray, subspace: np.ndarray) -> list[np.ndarray]:
    """Splits a subspace, given by orthonormal columns, into lines."""
    parts = subspace.T @ matrices @ subspace
    symmetric = (parts + parts.transpose(0, 2, 1)) / 2
    size = subspace.shape[1]
    means = np.trace(symmetric, axis1=1, axis2=2)[:, None, None] / size
    splits = np.abs(symmetric - means * np.eye(size)).max(axis=(1, 2)) > _SAME
    if not splits.any():
        return [subspace]
    eigenvalues, vectors = np.linalg.eigh(-symmetric[splits.argmax()])
    eigenspaces = np.split(vectors, np.flatnonzero(np.diff(eigenvalues) > _SAME) + 1, axis=1)
    return [line for eigenspace in eigenspaces for line in _lines(matrices, subspace @ eigenspace)]


def _basis_of_line(parts: np.ndarray) -> np.ndarray:
    size = parts.shape[-1]
    basis = np.eye(size)[:, :1]
    for part in parts:
        image = part[:, 0] - basis @ (basis.T @ part[:, 0])
        if np.linalg.norm(image) > _SAME:
            basis = np.column_stack([basis, image / np.linalg.norm(image)])
    return basis


def _transported(matrices: np.ndarray, start: np.ndarray, line: np.ndarray) -> np.ndarray:
    maps = line.T @ matrices @ start
    sizes = np.linalg.norm(maps, axis=(1, 2))
    # Each map is a multiple of an isometry. Half of the largest keeps round-off small and the choice unique.
    left, _, right = np.linalg.svd(maps[(sizes > sizes.max() / 2 - _SAME).argmax()])
    return line @ left @ right

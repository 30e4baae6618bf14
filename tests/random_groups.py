"""Strategies of hypothesis: random finite groups of orthogonal matrices, frames, and grids that they preserve."""

import functools
import itertools

import numpy as np
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st

from gequi_jax.actions import grid_preserving_elements
from gequi_jax.groups import FiniteGroup, cyclic_group, dihedral_group

# The same examples in every run, none kept from one to the next.
SETTINGS = settings(
    deadline=None,
    derandomize=True,
    database=None,
    report_multiple_bugs=False,
    phases=(Phase.generate, Phase.shrink),
    suppress_health_check=list(HealthCheck),
)
# Rotations whose dihedral groups hold quarter turns, half turns alone, or neither.
ROTATIONS = (1, 2, 3, 4, 5, 6, 8, 12)


@functools.cache
def signed_permutations(dim: int) -> np.ndarray:
    """All matrices that permute and reverse the axes: 2, 8 and 48 in one, two and three dimensions."""
    return np.stack(
        [
            np.diag(signs) @ np.eye(dim)[list(order)]
            for order in itertools.permutations(range(dim))
            for signs in itertools.product((1.0, -1.0), repeat=dim)
        ]
    )


@functools.cache
def prism(n: int) -> np.ndarray:
    """The symmetries of a prism over a regular polygon of n sides: 4 n matrices."""
    matrices = np.zeros((4 * n, 3, 3))
    matrices[:, :2, :2] = np.tile(dihedral_group(n).matrices, (2, 1, 1))
    matrices[:, 2, 2] = np.repeat((1.0, -1.0), 2 * n)
    return matrices


@functools.cache
def icosahedral() -> np.ndarray:
    """The 120 symmetries of an icosahedron with its vertices at (0, +-1, +-golden) and what turns the axes into each other."""
    golden = (1 + 5**0.5) / 2
    axis = np.array([0.0, 1.0, golden]) / np.hypot(1.0, golden)
    turn = cyclic_group(5).matrices[1]
    cross = np.array([[0, -axis[2], axis[1]], [axis[2], 0, -axis[0]], [-axis[1], axis[0], 0]])
    fifth = turn[0, 0] * np.eye(3) + turn[1, 0] * cross + (1 - turn[0, 0]) * np.outer(axis, axis)
    return FiniteGroup.generate([fifth, [[0, 0, 1], [1, 0, 0], [0, 1, 0]], -np.eye(3)]).matrices


def _elements(draw: st.DrawFn, dim: int, grid: bool) -> np.ndarray:
    """Those of one large finite group."""
    choices = {1: ["grid"], 2: ["grid", "polygon"], 3: ["grid", "prism", "icosahedron"]}[dim]
    chosen = draw(st.sampled_from([kind for kind in choices if not grid or kind != "icosahedron"]))
    if chosen == "grid":
        return signed_permutations(dim)
    if chosen == "icosahedron":
        return icosahedral()
    n = draw(st.sampled_from(ROTATIONS))
    return prism(n) if chosen == "prism" else dihedral_group(n).matrices


@st.composite
def generators(draw: st.DrawFn, *, dims: tuple[int, ...] = (1, 2, 3), grid: bool = False) -> list[np.ndarray]:
    """One to three random elements of finite order in a common finite group; with `grid` some of them may preserve it."""
    elements = _elements(draw, draw(st.sampled_from(dims)), grid)
    chosen = draw(st.lists(st.integers(0, len(elements) - 1), min_size=1, max_size=3))
    return [elements[index] for index in chosen]


@st.composite
def groups(draw: st.DrawFn, *, max_order: int, dims: tuple[int, ...] = (1, 2, 3)) -> FiniteGroup:
    """What random elements generate, in an order of its own: the identity comes anywhere. One alone has at most 12 powers."""
    chosen = draw(generators(dims=dims, grid=True))
    group = FiniteGroup.generate(chosen)
    while group.order > max_order:
        chosen = chosen[:-1]
        group = FiniteGroup.generate(chosen)
    order = np.random.default_rng(draw(st.integers(0, 2**16))).permutation(group.order)
    return FiniteGroup(group.matrices[order], name=f"random group of order {group.order} in {group.dim} dimensions")


@st.composite
def frames(draw: st.DrawFn, dim: int) -> np.ndarray:
    """A random orthogonal matrix."""
    return np.linalg.qr(np.random.default_rng(draw(st.integers(0, 2**16))).normal(size=(dim, dim)))[0]


@st.composite
def preserved_shapes(draw: st.DrawFn, group: FiniteGroup, sides: tuple[int, ...]) -> tuple[int, ...]:
    """Oblong where no element that preserves the grid exchanges the axes, of equal sides where one does."""
    moved = np.abs(group.matrices[grid_preserving_elements(group)]).argmax(axis=2)  # [element, axis] -> axis
    drawn = [draw(st.sampled_from(sides)) for _ in range(group.dim)]
    return tuple(drawn[moved[:, axis].min()] for axis in range(group.dim))

"""The property of a layer: its output, and the gradient of an invariant loss, move as the group does."""

import contextlib
import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from gequi_jax.actions import grid_preserving_elements
from gequi_jax.groups import FiniteGroup
from gequi_jax.testing import equivariance_errors, tolerance
from tests.equivariance_table import Row
from tests.networks import random_weights


@dataclasses.dataclass(frozen=True)
class Case:
    """One layer on one kind of input.

    Attributes:
      row: the layer.
      group: the group it is built for.
      spatial_shape: of the input.
      dtype: of parameters and input.
      seed: of weights and input.
    """

    row: Row
    group: FiniteGroup
    spatial_shape: tuple[int, ...]
    dtype: str
    seed: int

    def __repr__(self) -> str:
        return (
            f"{self.row.name} on {self.spatial_shape} in {self.dtype}, seed {self.seed}, for {self.group.name}: "
            f"{self.group.matrices.tolist()}"
        )


@dataclasses.dataclass
class Tried:
    """Counts, and the largest errors of each type, of the output and of the gradient."""

    examples: int = 0
    elements: int = 0
    groups: set = dataclasses.field(default_factory=set)
    layers: set = dataclasses.field(default_factory=set)
    largest: dict = dataclasses.field(default_factory=dict)

    def add(self, case: Case, output: float, gradient: float):
        """One example that held."""
        self.examples += 1
        self.elements += len(grid_preserving_elements(case.group))
        self.groups.add(case.group)
        self.layers.add(case.row.name)
        worst = self.largest.get(case.dtype, (0.0, 0.0))
        self.largest[case.dtype] = (max(worst[0], output), max(worst[1], gradient))

    def __str__(self) -> str:
        worst = "; ".join(
            f"{dtype}: output {output:.1e}, gradient {gradient:.1e}"
            for dtype, (output, gradient) in sorted(self.largest.items())
        )
        return (
            f"{len(self.layers)} layers, {len(self.groups)} groups, {self.examples} examples, {self.elements} elements; "
            f"{worst}"
        )


def check(case: Case) -> tuple[float, float]:
    """The largest relative errors over all elements that preserve the grid, of the output and of the gradient.

    The loss is sum log cosh y, invariant and smooth, with the gradient tanh y that stays bounded where y is large.

    Raises:
      AssertionError: if one exceeds the tolerance of the type.
    """
    row, group = case.row, case.group
    wide = case.dtype == "float64"
    # Flax's norms ask for the wider of two types, which strict promotion refuses.
    with jax.enable_x64(wide), jax.numpy_dtype_promotion("standard") if wide else contextlib.nullcontext():
        shape = (1, *row.input_shape(group, case.spatial_shape))
        x = jnp.asarray(np.random.default_rng(case.seed).normal(size=shape), case.dtype)
        program = _output_and_gradient(case)
        largest = []
        for part, kind in enumerate((row.output, row.input)):
            errors = equivariance_errors(
                lambda x, part=part: program(x)[part],
                x,
                group=group,
                input=row.input,
                output=kind,
                elements=grid_preserving_elements(group),
            )
            # A comparison that NaN fails.
            assert (errors <= tolerance(case.dtype)).all(), (
                f"the {('output', 'gradient')[part]} of {row.name} has relative error {errors.max():.1e} under {group.name}"
            )
            largest.append(float(errors.max()))
    return largest[0], largest[1]


def _output_and_gradient(case: Case):
    """One program for both, compiled once for all elements."""
    if case.row.has_weights:
        layer = random_weights(lambda: case.row.build(case.group, nnx.Rngs(0), case.dtype), gain=3.0, seed=case.seed)
        layer.eval()
        graph, state = nnx.split(layer)
    else:
        graph, state = None, case.row.build(case.group, nnx.Rngs(0), case.dtype)

    def both(state, x):
        y, pull = jax.vjp(nnx.merge(graph, state) if graph is not None else state, x)
        return y, *pull(jnp.tanh(y))

    if graph is None:
        return jax.jit(lambda x: both(state, x))
    compiled = jax.jit(both)
    return lambda x: compiled(state, x)


def broken_gradient(group, rngs, param_dtype):
    """A row whose output is equivariant and whose gradient grows along the first axis."""

    @jax.custom_vjp
    def square(x):
        return x * x

    def backward(x, cotangent):
        ramp = np.arange(1.0, 1 + x.shape[1]).reshape(1, -1, *(1,) * (x.ndim - 2))
        return (2 * x * cotangent * ramp.astype(x.dtype),)

    square.defvjp(lambda x: (x * x, x), backward)
    return square

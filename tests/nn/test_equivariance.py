"""Every layer, every group, every element that maps the grid to itself; and the control that must fail."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from gequi_jax.actions import grid_preserving_elements
from gequi_jax.testing import assert_equivariant, equivariance_errors, tolerance
from tests import families
from tests.equivariance_table import LAYERS, Row
from tests.networks import random_weights

GROUPS = families.PLANAR + families.OTHER_DIMENSIONS
# What is quick to compile.
PLANAR = [families.name(group) for group in families.PLANAR if group.order <= 8]
CASES = [
    pytest.param(row, group, id=f"{row.name}-{families.name(group)}")
    for row in LAYERS
    for group in (GROUPS if row.groups is None else row.groups)
    if group.dim == 2 or "even" not in row.name
]
CONTROLS = [
    pytest.param(row, group, id=f"{row.name}-{families.name(group)}")
    for row in LAYERS
    for group in (families.PLANAR[3:4] if row.groups is None else row.groups[:1])
]
# Every rotation, and every rotation and reflection, of the cube.
CUBE = [
    pytest.param(row, group, id=f"{row.name}-{families.name(group)}", marks=pytest.mark.full_size)
    for row in LAYERS
    for group in families.CUBE
    if "even" not in row.name and "pallas" not in row.name
]


def slow_unless(quick, cases):
    """The cases of quick groups, and the first of rows with groups of their own, by default; others in continuous integration."""

    def is_quick(row, group):
        return group is row.groups[0] if row.groups else families.name(group) in quick

    return [
        pytest.param(*case.values, id=case.id, marks=() if is_quick(*case.values) else pytest.mark.slow)
        for case in cases
    ]


def build(row: Row, group, dtype):
    """The layer with weights three times as large as where training starts: errors hide at initialisation."""
    if not row.has_weights:
        return jax.jit(row.build(group, nnx.Rngs(0), dtype))
    graph, state = nnx.split(random_weights(lambda: row.build(group, nnx.Rngs(0), dtype), gain=3.0))
    call = jax.jit(lambda state, x: nnx.merge(graph, state)(x))
    return lambda x: call(state, x)


def inputs(row: Row, group, size, dtype):
    # Volumes are kept small: the loops over elements, not the size, find errors.
    if group.dim == 3:
        # A grid is halved, or read at every other position, or as small as the window allows.
        size = {(5, 6): 3 if group in families.CUBE else min(size, 5), (5, 7): 5, (4, 6): 4}.get(row.sizes, size)
    shape = row.input_shape(group, (size,) * group.dim)
    return jnp.asarray(np.random.default_rng(1).normal(size=(2, *shape)), dtype)


@pytest.mark.parametrize(("row", "group"), slow_unless(("p4m",), CASES) + CUBE)
def test_layers_are_equivariant_in_float32(row, group):
    layer = build(row, group, "float32")
    # Each size is a program to compile: here both for p4 and p4m, elsewhere one, and the other in float64.
    for size in row.sizes if families.name(group) in ("p4", "p4m") else row.sizes[:1]:
        x = inputs(row, group, size, "float32")
        assert_equivariant(layer, x, group=group, input=row.input, output=row.output, rtol=1e-5)


@pytest.mark.parametrize(("row", "group"), slow_unless(PLANAR, CASES) + CUBE)
@pytest.mark.usefixtures("x64")
def test_layers_are_equivariant_in_float64(row, group):
    layer = build(row, group, "float64")
    x = inputs(row, group, row.sizes[1], "float64")
    assert_equivariant(layer, x, group=group, input=row.input, output=row.output, rtol=1e-12)


@pytest.mark.parametrize(("row", "group"), slow_unless((), CASES))
def test_layers_are_equivariant_in_bfloat16(row, group):
    """A layer by itself: the bound of `gequi_jax.testing.tolerance` for one layer."""
    layer = build(row, group, "bfloat16")
    x = inputs(row, group, row.sizes[0], "bfloat16")
    assert layer(x).dtype == jnp.bfloat16
    rtol = tolerance("bfloat16", num_layers=1)
    assert_equivariant(layer, x, group=group, input=row.input, output=row.output, rtol=rtol)


@pytest.mark.parametrize(("row", "group"), CONTROLS)
def test_a_layer_that_weighs_positions_fails(row, group):
    """The negative control: the same layer behind a ramp over the rows is not equivariant, and the test says so."""
    layer = build(row, group, "float32")
    size = row.sizes[0]
    x = inputs(row, group, size, "float32")
    ramp = 1.0 + np.arange(x.shape[1], dtype=np.float32).reshape(1, -1, *(1,) * (x.ndim - 2))
    errors = equivariance_errors(
        lambda x: layer(x * ramp),
        x,
        group=group,
        input=row.input,
        output=row.output,
        elements=[h for h in grid_preserving_elements(group) if h != group.identity],
    )
    assert errors.max() > tolerance("bfloat16", num_layers=1)

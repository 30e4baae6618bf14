"""Readouts and liftings of fields against loops, their inverses, and their errors. Equivariance is in the table."""

import jax.numpy as jnp
import numpy as np
import pytest

from gequi_jax import functional
from gequi_jax.groups import cyclic_group, dihedral_group, group_by_name
from gequi_jax.testing import equivariance_errors
from tests import families
from tests.reference import fields as reference

GROUPS = [families.SHUFFLED_SQUARE, cyclic_group(8), families.QUARTER_TURNS_3D, group_by_name("octahedral")]
for_each_group = pytest.mark.parametrize("group", GROUPS, ids=families.name)


def noise(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


@for_each_group
def test_readouts_agree_with_loops(group):
    x = noise(3, group.order, 2)
    on_a_line = x.reshape(1, 3, *(1,) * (group.dim - 1), group.order, 2)
    for rank, name in ((1, "vector_readout"), (2, "tensor_readout")):
        kernel = noise(2, 3, *(group.dim,) * rank, seed=1)
        y = getattr(functional, name)(on_a_line, group=group, kernel=kernel)
        expected = getattr(reference, name)(group, x, kernel)
        np.testing.assert_allclose(y.reshape(expected.shape), expected, atol=1e-5)
        # By default each channel has the first basis vector.
        kernel = np.zeros((2, 2, *(group.dim,) * rank), np.float32)
        kernel[range(2), range(2), *(0,) * rank] = 1.0
        default = getattr(functional, name)(on_a_line, group=group)
        np.testing.assert_allclose(
            default.reshape(3, 2, -1).ravel(), getattr(reference, name)(group, x, kernel).ravel(), atol=1e-5
        )


@for_each_group
def test_liftings_agree_with_loops(group):
    for rank, name in ((1, "lift_vectors"), (2, "lift_tensors")):
        x = noise(3, 2, *(group.dim,) * rank)
        y = getattr(functional, name)(x.reshape(1, 3, *(1,) * (group.dim - 1), *x.shape[1:]), group=group)
        expected = getattr(reference, name)(group, x)
        np.testing.assert_allclose(y.reshape(expected.shape), expected, atol=1e-5)


@for_each_group
def test_a_readout_inverts_the_lifting(group):
    """sum_h h (h^-1 v) = |H| v, and the same for symmetric tensors."""
    dim = group.dim
    v = noise(2, *(2,) * dim, 1, dim)
    kernel = np.eye(dim, dtype=np.float32)[:, None]
    y = functional.vector_readout(functional.lift_vectors(v, group=group), group=group, kernel=kernel)
    np.testing.assert_allclose(y, group.order * v, atol=1e-4)
    tensor = v[..., :, None] * v[..., None, :]
    kernel = np.eye(dim * dim, dtype=np.float32).reshape(dim * dim, 1, dim, dim)
    y = functional.tensor_readout(functional.lift_tensors(tensor, group=group), group=group, kernel=kernel)
    np.testing.assert_allclose(y, group.order * tensor, atol=1e-4)
    # A negative control: one direction alone does not bring all components back.
    y = functional.vector_readout(functional.lift_vectors(v, group=group)[..., :1], group=group)
    assert np.abs(y - group.order * v).max() > 0.1


def test_a_pseudoscalar_is_no_scalar():
    """The two agree under rotations and differ in sign under mirrorings."""
    group = dihedral_group(4)
    x = noise(1, 3, 3, 8, 2)

    def readout(x):
        return functional.pseudoscalar_readout(x, group=group)

    options = {"group": group, "input": "feature_map"}
    assert equivariance_errors(readout, x, output="pseudoscalars", **options).max() < 1e-6
    errors = equivariance_errors(readout, x, output="grid", **options)
    assert errors[:4].max() < 1e-6
    np.testing.assert_allclose(errors[4:], 2.0, rtol=1e-6)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda group: functional.vector_readout(jnp.ones((1, 3, 3, 3, 2)), group=group), "a group axis of size 4"),
        (lambda group: functional.tensor_readout(jnp.ones((1, 3, 4, 2)), group=group), "of 5 axes"),
        (
            lambda group: functional.vector_readout(jnp.ones((1, 3, 3, 4, 2)), group=group, kernel=jnp.ones((3, 1, 2))),
            r"kernel: expected shape \[2, out_channels, 2\]",
        ),
        (
            lambda group: functional.lift_vectors(jnp.ones((1, 3, 3, 3)), group=group),
            "2 components on each of the last 1",
        ),
        (
            lambda group: functional.lift_tensors(jnp.ones((1, 3, 3, 2)), group=group),
            "2 components on each of the last 2",
        ),
        (lambda group: functional.lift_vectors(jnp.ones((1, 3, 3, 2)), group="p4"), "group: expected a FiniteGroup"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=message):
        call(cyclic_group(4))

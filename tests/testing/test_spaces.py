"""Fields and class maps as inputs and outputs of the assertions and of the audit."""

import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from gequi_jax import nn
from gequi_jax.actions import grid_preserving_elements
from gequi_jax.groups import cyclic_group, dihedral_group
from gequi_jax.testing import assert_equivariant, assert_equivariant_but_for_resampling, audit, equivariance_errors

GROUP = dihedral_group(4)


def noise(*shape):
    return jnp.asarray(np.random.default_rng(0).normal(size=shape), jnp.float32)


FUNCTIONS = {
    "speed": (lambda v: jnp.linalg.norm(v, axis=-1), "vectors", "grid", (3, 2)),
    "direction": (lambda v: v / jnp.linalg.norm(v, axis=-1, keepdims=True), "vectors", "vectors", (3, 2)),
    "outer": (lambda v: v[..., :, None] * v[..., None, :], "vectors", "tensors", (3, 2)),
    "trace": (lambda t: jnp.trace(t, axis1=-2, axis2=-1), "tensors", "grid", (3, 2, 2)),
    "square": (jnp.square, "pseudoscalars", "grid", (3,)),
    "cube": (lambda p: p**3, "pseudoscalars", "pseudoscalars", (3,)),
    "argmax": (lambda x: x.argmax(axis=-1), "grid", "class_map", (3,)),
}


@pytest.mark.parametrize(("fn", "input", "output", "shape"), list(FUNCTIONS.values()), ids=list(FUNCTIONS))
def test_what_is_equivariant_passes_and_what_weighs_positions_fails(fn, input, output, shape):
    x = noise(1, 4, 4, *shape)
    assert_equivariant(fn, x, group=GROUP, input=input, output=output)

    def on_a_ramp(x):
        y = fn(x)
        return y * jnp.arange(1, 5, dtype=y.dtype).reshape(1, 4, *(1,) * (y.ndim - 2))

    with pytest.raises(AssertionError, match=f"{input} -> {output}"):
        assert_equivariant(on_a_ramp, x, group=GROUP, input=input, output=output)


def test_components_that_do_not_turn_are_no_vectors():
    errors = equivariance_errors(lambda x: x, noise(1, 4, 4, 2), group=GROUP, input="grid", output="vectors")
    assert errors[GROUP.identity] == 0.0
    assert errors[1] > 0.5


def test_finer_rotations_of_vectors_and_of_classes():
    group = cyclic_group(8)
    waves = jnp.cos(0.3 * jnp.arange(24.0)).reshape(1, 24, 1, 1) * jnp.ones((1, 1, 24, 2))
    assert_equivariant_but_for_resampling(lambda v: 2 * v, waves, group=group, input="vectors", output="vectors")
    classes = lambda x: x.argmax(axis=-1)  # noqa: E731
    with pytest.raises(ValueError, match="classes cannot be interpolated"):
        equivariance_errors(classes, waves, group=group, output="class_map")
    assert_equivariant(classes, waves, group=group, output="class_map", elements=grid_preserving_elements(group)[:1])


class Flow(nnx.Module):
    """A network from one vector field to another."""

    def __init__(self, *, turns: bool):
        self.lift = nn.VectorLifting(group=GROUP)
        self.conv = nn.GroupConv(2, 3, 3, group=GROUP, rngs=nnx.Rngs(0))
        self.readout = nn.VectorReadout(3, 1, group=GROUP, rngs=nnx.Rngs(1))
        self.plain = nnx.data(None) if turns else nnx.Linear(2, 2, rngs=nnx.Rngs(2))

    def __call__(self, x):
        y = self.readout(nnx.relu(self.conv(self.lift(x))))
        return y if self.plain is None else self.plain(y)


def test_the_audit_reads_and_writes_vectors():
    x = noise(1, 5, 5, 2)
    report = audit(Flow(turns=True), x, group=GROUP, input="vectors", output="vectors")
    assert report.passed, str(report)
    kinds = {row.path: row.kind for row in report.rows}
    assert kinds == {"(model)": "vectors", "lift": "feature_map", "conv": "feature_map", "readout": "vectors"}
    broken = audit(Flow(turns=False), x, group=GROUP, input="vectors", output="vectors")
    assert broken.fault == "plain"
    # Two images are lifted to maps whose poses do not move.
    assert audit(Flow(turns=True), x, group=GROUP, input="grid", output="vectors").fault == "conv"


def test_unknown_spaces_are_rejected():
    x = noise(1, 4, 4, 2)
    with pytest.raises(ValueError, match=r"input: expected one of .*'vectors', 'tensors'"):
        equivariance_errors(jnp.cos, x, group=GROUP, input="vector")
    with pytest.raises(ValueError, match=r"output: expected one of .*'class_map'"):
        audit(Flow(turns=True), x, group=GROUP, input="vectors", output="classes")
    with pytest.raises(ValueError, match="input: expected one of"):
        equivariance_errors(jnp.cos, x, group=GROUP, input="class_map")

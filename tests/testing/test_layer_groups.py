"""The audit of networks whose layers have several groups: each layer under its own."""

import jax
import numpy as np
import pytest
from flax import nnx

from gequi_jax import nn
from gequi_jax.groups import group_by_name
from gequi_jax.testing import audit

P4M, P4, Z2 = (group_by_name(name) for name in ("p4m", "p4", "z2"))
FEATURES = 3


class Staged(nnx.Module):
    """A stage on p4m, in which something is planted, and a stage on a subgroup."""

    def __init__(self, planted, *, subgroup):
        self.lift = nn.LiftingConv(1, FEATURES, 3, group=P4M, rngs=nnx.Rngs(0))
        self.planted = planted
        self.restrict = nn.RestrictPoses(group=P4M, subgroup=subgroup)
        features = FEATURES * P4M.order // subgroup.order
        self.last = nn.GroupConv(features, FEATURES, 3, group=subgroup, rngs=nnx.Rngs(1))

    def __call__(self, x):
        return self.last(self.restrict(self.planted(self.lift(x))))


class Scaled(nnx.Module):
    """Scales the poses: a layer for p4m by its own account."""

    def __init__(self, factors, group=P4M):
        self.factors, self.group = tuple(factors), group

    def __call__(self, x):
        return x * np.asarray(self.factors, np.float32).reshape(1, 1, 1, -1, 1)


def report(factors, *, subgroup, key, **options):
    model = Staged(Scaled(factors), subgroup=subgroup)
    return audit(model, jax.random.normal(key, (1, 7, 7, 1)), **{"group": subgroup, **options})


@pytest.mark.parametrize("subgroup", [P4, Z2], ids=lambda group: group.name)
def test_every_layer_is_tested_under_its_own_group(subgroup, key):
    result = report([2.0] * 8, subgroup=subgroup, key=key)
    assert result.passed, str(result)
    rows = {row.path: row for row in result.rows}
    assert [rows[path].group for path in ("(model)", "lift", "planted", "restrict", "last")] == [
        *(subgroup.name, "p4m", "p4m"),
        *(subgroup.name,) * 2,
    ]
    assert {rows[path].kind for path in ("lift", "planted")} == {"feature_map"}
    assert " of p4m" in str(result)


@pytest.mark.parametrize(
    ("factors", "subgroup"),
    [([1.0] * 4 + [2.0] * 4, P4), ([1.0] * 4 + [2.0] * 4, Z2), ([1.0, 2.0, 1.0, 2.0] * 2, Z2)],
    ids=["mirrors_in_p4", "mirrors_in_z2", "rotations_in_z2"],
)
def test_a_layer_that_lacks_its_own_symmetry_is_named(factors, subgroup, key):
    """The network has the symmetry of its last group in spite of it."""
    result = report(factors, subgroup=subgroup, key=key)
    assert result.fault == "planted"
    assert {row.path for row in result.rows if row.error > 1e-3} == {"planted"}


def test_given_elements_are_the_only_ones(key):
    result = report([1.0] * 4 + [2.0] * 4, subgroup=P4, key=key, elements=[1])
    assert result.passed
    assert {row.group for row in result.rows} == {"p4"}


def test_under_the_larger_group_the_restriction_is_named(key):
    result = report([2.0] * 8, subgroup=P4, key=key, group=P4M)
    assert (result.fault, result.cause) == ("restrict", "RestrictPoses was built for p4, not for p4m.")

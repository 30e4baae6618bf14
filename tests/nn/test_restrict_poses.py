"""The layer between stages: equivariant under the subgroup, and under nothing else."""

import jax.numpy as jnp
import numpy as np
import pytest

from gequi_jax import nn
from gequi_jax.actions import act_on_feature_map
from gequi_jax.groups import group_by_name, octahedral_group, subgroup_elements
from tests import families

PAIRS = [
    *((families.SHUFFLED_SQUARE, group_by_name(name)) for name in ("p4", "z2m", "z2")),
    (octahedral_group(), families.QUARTER_TURNS_3D),
]


@pytest.mark.parametrize(("group", "subgroup"), PAIRS, ids=lambda group: group.name)
def test_elements_of_the_subgroup_alone_move_its_output_as_a_feature_map(group, subgroup):
    """k in K acts by L_k of K on the output; h outside of K acts as no element of K does."""
    x = np.random.default_rng(0).normal(size=(1, *(3,) * group.dim, group.order, 2)).astype(np.float32)
    layer = nn.RestrictPoses(group=group, subgroup=subgroup)
    assert (layer.input_group, layer.group) == (group, subgroup)
    y = np.asarray(layer(jnp.asarray(x)))
    expected = [np.asarray(act_on_feature_map(k, y, group=subgroup)) for k in range(subgroup.order)]
    embedded = subgroup_elements(group, subgroup).tolist()
    for h in range(group.order):
        moved = np.asarray(layer(jnp.asarray(act_on_feature_map(h, x, group=group))))
        equal = [k for k, candidate in enumerate(expected) if np.array_equal(moved, candidate)]
        assert equal == ([embedded.index(h)] if h in embedded else [])


def test_what_does_not_fit_is_refused():
    p4m, p4 = group_by_name("p4m"), group_by_name("p4")
    with pytest.raises(ValueError, match="expected a subgroup of p4; got p4m"):
        nn.RestrictPoses(group=p4, subgroup=p4m)
    with pytest.raises(ValueError, match="group: expected a FiniteGroup"):
        nn.RestrictPoses(group=p4m, subgroup="p4")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="expected a group axis of size 8"):
        nn.RestrictPoses(group=p4m, subgroup=p4)(jnp.ones((1, 3, 3, 4, 2)))

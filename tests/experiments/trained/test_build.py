"""The network of a configuration: groups by name, and mistakes in them."""

import pytest
from flax import nnx

from experiments.config import default_config
from experiments.errors import UserError
from experiments.trained.build import build_model, model_group
from gequi_jax.groups import group_by_name

NETWORK = "digits_alpha_f_p4m_cnn"


def configuration(model=NETWORK, **overrides):
    config = default_config()
    config.model = model
    config.model_overrides.update(overrides)
    return config


@pytest.mark.parametrize(
    ("config", "name"),
    [
        (configuration(), "p4m"),
        (configuration(group="r8"), "r8"),
        (configuration(group_by_stage="p4m,p4m,z2m"), "z2m"),
        (configuration(group_by_stage=("p4m", "p4m", "p4")), "p4"),
        (configuration(group="p4", group_by_stage=["p4", "z2", "z2"]), "z2"),
    ],
)
def test_the_group_of_a_network_is_that_of_its_last_stage(config, name):
    assert model_group(config) == group_by_name(name)
    built = nnx.eval_shape(lambda: build_model(config, nnx.Rngs(0)))
    assert built.group == group_by_name(name)


def test_groups_within_slices_are_named_in_the_dimension_of_the_network():
    config = configuration("volume_octahedral_cnn", group="p4m", group_by_stage="p4m,p4m,p4")
    assert model_group(config) == group_by_name("p4", dim=3)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"group": "p4x"}, "model_overrides.group: group name: expected"),
        ({"group": 4}, "model_overrides.group: expected the name of a group"),
        ({"group_by_stage": "p4m,p4x,z2"}, "model_overrides.group_by_stage: group name: expected"),
        ({"group_by_stage": ()}, "model_overrides.group_by_stage: expected names of groups"),
        ({"group_by_stage": 3}, "model_overrides.group_by_stage: expected names of groups"),
        ({"group_by_stage": "p4m,p4"}, "cannot be built: group_by_stage: expected 3 groups"),
        ({"group_by_stage": "p4,p4,p4"}, "cannot be built: group_by_stage: expected p4m, the group of the network"),
    ],
)
def test_names_that_are_no_groups(overrides, message):
    with pytest.raises(UserError, match=message):
        nnx.eval_shape(lambda: build_model(configuration(**overrides), nnx.Rngs(0)))

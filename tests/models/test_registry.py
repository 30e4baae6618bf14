"""Names, what is known of them, overrides and errors."""

import math

import jax
import jax.numpy as jnp
import pytest
from flax import nnx

from gequi_jax import models
from gequi_jax.groups import group_by_name
from tests import families


def parameter_count(model):
    return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(nnx.state(model, nnx.Param)))


@pytest.mark.parametrize("name", models.list_models())
def test_every_name_builds_the_shape_it_promises(name):
    info = models.model_info(name)
    assert info.name == name

    def logits():
        model = models.create_model(name, rngs=nnx.Rngs(0))
        model.eval()
        return model(jnp.zeros((2, *info.input_shape)))

    assert jax.eval_shape(logits).shape == (2, info.num_classes)


@pytest.mark.parametrize("name", [name for name in models.list_models() if models.model_info(name).reported_params])
def test_parameters_are_those_of_the_paper(name):
    model = nnx.eval_shape(lambda: models.create_model(name, rngs=nnx.Rngs(0)))
    # The papers print two decimals, and one number for networks that differ in their pose tables.
    assert parameter_count(model) == pytest.approx(models.model_info(name).reported_params, rel=0.01)


def test_any_group_can_stand_in_a_name():
    assert models.model_info("rotmnist_r8m_sa").group == group_by_name("r8m")
    assert models.model_info("rotmnist_p4m_sa").group == models.model_info("rotmnist_r4m_sa").group


def test_a_group_of_ones_own(key):
    model = models.create_model("digits_r4_sa", rngs=nnx.Rngs(0), group=families.KLEIN, num_classes=3)
    assert model.group == families.KLEIN
    assert model(jax.random.normal(key, (1, 8, 8, 1))).shape == (1, 3)


def test_unknown_names_and_overrides_are_refused_with_what_is_legal():
    with pytest.raises(ValueError, match="did you mean rotmnist_r4_sa"):
        models.create_model("rotmnist_r4_as", rngs=nnx.Rngs(0))
    with pytest.raises(ValueError, match="digits_r4_sa, "):
        models.model_info("resnet50")
    with pytest.raises(ValueError, match=r"no argument 'heads'; it takes .*num_heads"):
        models.create_model("digits_r4_sa", rngs=nnx.Rngs(0), heads=3)

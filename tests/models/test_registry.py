"""Names, what is known of them, overrides and errors."""

import math

import jax
import pytest
from flax import nnx

from gequi_jax import models
from gequi_jax.groups import group_by_name
from tests import families, shrunk
from tests.networks import outline, random_network

# One network of each architecture, and what is quick to trace.
SMALL = [name for name in models.list_models() if name.startswith(("digits", "rotmnist_p4", "rotmnist_vit_p4"))] + [
    "cifar10_p4_all_cnn",
    "pcam_p4_densenet",
    "unet_p4",
    "vit_tiny_p4",
    "volume_octahedral_cnn",
    "volume_octahedral_sa",
]


def parameter_count(model):
    return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(nnx.state(model, nnx.Param)))


@pytest.mark.parametrize("name", shrunk.slow_unless(SMALL, models.list_models()))
def test_every_name_builds_the_shape_and_the_parameters_it_promises(name):
    info = models.model_info(name)
    assert info.name == name
    model = outline(name)
    model.eval()
    images = jax.ShapeDtypeStruct((2, *info.input_shape), "float32")
    positions = info.input_shape[:-1] if info.output == "grid" else ()
    logits = jax.eval_shape(lambda model, x: model(x), model, images)
    assert logits.shape == (2, *positions, info.num_classes)
    if info.reported_params:
        # The papers print two decimals, and one number for networks that differ in their pose tables.
        assert parameter_count(model) == pytest.approx(info.reported_params, rel=0.01)


def test_any_group_can_stand_in_a_name():
    assert models.model_info("volume_unet_p4m_depth_mirror").group == group_by_name("p4m_depth_mirror", dim=3)
    assert models.model_info("rotmnist_r8m_sa").group == group_by_name("r8m")
    assert models.model_info("rotmnist_p4m_sa").group == models.model_info("rotmnist_r4m_sa").group


def test_the_facts_of_a_variant():
    stages = tuple(group_by_name(name) for name in ("p4m", "p4", "p4"))
    published = models.model_info("rotmnist_p4_cnn")
    variant = models.model_info("rotmnist_p4m_cnn", group_by_stage=stages, num_classes=3, features=10)
    assert (variant.group, variant.num_classes) == (published.group, 3)
    assert variant.input_shape == published.input_shape
    model = nnx.eval_shape(lambda: models.create_model(variant.name, rngs=nnx.Rngs(0), **variant.overrides))
    assert variant.num_params == parameter_count(model)
    assert published.flops < variant.flops < 4 * published.flops
    assert models.model_info("rotmnist_p4_cnn", features=20).num_params > 3 * published.num_params
    with pytest.raises(ValueError, match="no argument 'heads'"):
        models.model_info("rotmnist_p4_cnn", heads=3)


def test_a_group_of_ones_own():
    model = random_network("digits_r4_sa", group=families.KLEIN, num_classes=3)
    assert model.group == families.KLEIN
    images = jax.ShapeDtypeStruct((1, 8, 8, 1), "float32")
    assert jax.eval_shape(lambda model, x: model(x), model, images).shape == (1, 3)


def test_unknown_names_and_overrides_are_refused_with_what_is_legal():
    with pytest.raises(ValueError, match="did you mean rotmnist_r4_sa"):
        models.create_model("rotmnist_r4_as", rngs=nnx.Rngs(0))
    with pytest.raises(ValueError, match="digits_r4_sa, "):
        models.model_info("resnet50")
    with pytest.raises(ValueError, match=r"no argument 'heads'; it takes .*num_heads"):
        models.create_model("digits_r4_sa", rngs=nnx.Rngs(0), heads=3)

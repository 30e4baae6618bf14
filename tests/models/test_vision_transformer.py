"""Vision transformers: any group and dimension, registers, stages and readouts; sizes that do not fit."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from gequi_jax import models, nn
from gequi_jax.export import to_plain
from gequi_jax.groups import (
    FiniteGroup,
    dihedral_group,
    group_by_name,
    mirror_group,
    octahedral_group,
    subgroup_elements,
    trivial_group,
)
from gequi_jax.models._vit_sizes import features_of_a_pose, heads_of_a_frame
from gequi_jax.testing import assert_invariant, audit, equivariance_errors
from tests import families, shrunk
from tests.models.test_registry import parameter_count
from tests.models.test_restrict import perturbed, relative_error
from tests.networks import random_weights

SMALL = {"num_classes": 3, "features": 4, "patch_size": 2, "depths": (1,)}


def build(group: FiniteGroup = families.SHUFFLED_SQUARE, side=4, **options):
    shape = (side,) * group.dim + (1,)
    options = {"group": group, "input_shape": shape, **SMALL, **options}
    model = perturbed(random_weights(lambda: models.VisionTransformer(**options, rngs=nnx.Rngs(0))))
    model.eval()
    return model


def images(model, batch=2):
    return jnp.asarray(np.random.default_rng(1).normal(size=(batch, *model.input_shape)), jnp.float32)


@nnx.jit
def logits(model, x):
    return model(x)


VARIANTS = {
    "registers": {"num_registers": 2, "class_token": True, "position_encoding": nn.FourierEncoding},
    "stages": {"depths": (1, 1), "side": 8, "window_size": (3, None), "initial_layer_scale": 0.5, "readout": "max"},
    "overlapping_bispectrum": {"patch_size": 4, "patch_strides": 2, "readout": "bispectrum"},
}


@pytest.mark.slow
@pytest.mark.parametrize("variant", shrunk.slow_unless(("registers", "overlapping_bispectrum"), VARIANTS))
def test_every_variant_passes_the_audit_and_has_a_plain_form(variant):
    model = build(**VARIANTS[variant])
    x = images(model)
    report = audit(model, x, group=model.group, elements=[2])
    assert report.passed, str(report)
    assert float(jnp.std(logits(model, x))) > 1e-4
    assert relative_error(logits(to_plain(model), x), logits(model, x)) < 1e-5


@pytest.mark.usefixtures("x64")
def test_it_is_invariant_to_1e_12_in_float64():
    options = {**VARIANTS["registers"], "group": families.SHUFFLED_SQUARE, "input_shape": (4, 4, 1), **SMALL}
    model = random_weights(lambda: models.VisionTransformer(**options, param_dtype="float64", rngs=nnx.Rngs(0)))
    x = jnp.asarray(np.random.default_rng(1).normal(size=(1, 4, 4, 1)))
    assert_invariant(functools.partial(logits, model), x, group=model.group, rtol=1e-12)


@pytest.mark.parametrize(
    "last",
    [
        pytest.param(families.SHUFFLED_SQUARE, marks=pytest.mark.slow),
        mirror_group(),
        pytest.param(trivial_group(), marks=pytest.mark.slow),
    ],
    ids=families.name,
)
def test_a_hybrid_keeps_positions_and_numbers_and_its_last_symmetry_alone(last):
    first = families.SHUFFLED_SQUARE
    model = build(depths=(1, 1), merge_patches=False, group_by_stage=(first, last))
    shapes = {}
    for name in ("patches", "norm"):
        layer = getattr(model, name)
        setattr(model, name, lambda x, layer=layer, name=name: shapes.setdefault(name, layer(x)))
    x = images(model, 1)
    model(x)
    assert shapes["patches"].shape == (1, 2, 2, 8, 4)
    assert shapes["norm"].shape == (1, 2, 2, last.order, 32 // last.order)
    assert model.group == last
    unwatched = build(depths=(1, 1), merge_patches=False, group_by_stage=(first, last))
    errors = equivariance_errors(unwatched, images(unwatched), group=first, output="invariant")
    inside = np.isin(np.arange(first.order), subgroup_elements(first, last))
    assert errors[inside].max() <= 1e-5
    assert (errors[~inside] > 1e-3).all()


@pytest.mark.slow
def test_volumes():
    model = build(octahedral_group(), features=2)
    assert_invariant(functools.partial(logits, model), images(model, 1), group=model.group)


def test_registers_that_depend_on_the_frame_break_the_symmetry():
    """The negative control: the initial value must be the same in every frame."""
    group = dihedral_group(4)
    block = random_weights(
        lambda: nn.TransformerBlock(
            4, group=group, attention=functools.partial(nn.FrameSelfAttention, num_heads=1), rngs=nnx.Rngs(0)
        )
    )
    random = np.random.default_rng(0)
    tokens = jnp.asarray(random.normal(size=(1, 2, 8, 4)), jnp.float32)
    x = jnp.asarray(random.normal(size=(1, 3, 3, 8, 4)), jnp.float32)

    def pooled(registers):
        return jax.jit(lambda x: block(x, jnp.broadcast_to(registers, tokens.shape))[0].mean(axis=(1, 2, 3)))

    same = tokens[:, :, :1]
    assert_invariant(pooled(same), x, group=group, input="feature_map")
    with pytest.raises(AssertionError):
        assert_invariant(pooled(tokens), x, group=group, input="feature_map")


@pytest.mark.slow
def test_the_restricted_network_computes_the_same():
    model = build(**VARIANTS["stages"])
    x = images(model)
    restricted = models.restrict(model, mirror_group())
    assert restricted.group.order == 2
    assert parameter_count(restricted) > parameter_count(model)
    assert relative_error(logits(restricted, x), logits(model, x)) < 1e-5
    with pytest.raises(ValueError, match="its readout is the bispectrum"):
        models.restrict(build(readout="bispectrum"), mirror_group())


@pytest.mark.slow
def test_a_group_costs_a_fraction_of_the_plain_network_of_as_many_numbers():
    plain, group = (models.model_info(f"vit_small_{name}") for name in ("z2", "p4m"))
    assert group.flops < 0.45 * plain.flops
    assert 0.12 < group.num_params / plain.num_params < 0.15


def test_features_of_every_group_make_about_as_many_numbers():
    for name, features, heads in (("z2", 384, 6), ("p4", 96, 2), ("p4m", 48, 1), ("r16", 24, 1)):
        group = group_by_name(name)
        assert features_of_a_pose(384, group) == features
        assert heads_of_a_frame(features) == heads
    assert features_of_a_pose(1, octahedral_group()) == 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"side": 5}, "input_shape: expected sides divisible by 2.*nearest to 5: 4 and 6"),
        ({"depths": (1, 1), "side": 6}, "divisible by 4"),
        ({"depths": ()}, "depths: expected the number of blocks"),
        ({"depths": (1, 1), "side": 8, "group_by_stage": (dihedral_group(4),)}, "group_by_stage: expected 2 groups"),
        ({"window_size": (3, 3)}, "window_size: expected one side, or 1"),
        ({"window_size": 3, "num_registers": 1}, "num_registers, class_token: expected one stage of global"),
        ({"patch_size": 4, "patch_strides": 1}, "overlap by an even number.*use one of 2, 4"),
        ({"patch_size": 2, "patch_strides": 4}, "overlap by an even number"),
        ({"readout": "sum"}, "readout: expected one of"),
        ({"input_shape": (4, 6, 1)}, "input_shape: expected equal sides on the axes that"),
        ({"input_shape": (4, 1)}, "input_shape: expected 2 sides and a number of channels"),
    ],
)
def test_sizes_that_do_not_fit(options, message):
    with pytest.raises(ValueError, match=message):
        build(**options)


def test_images_that_do_not_fit():
    model = build(trivial_group())
    with pytest.raises(ValueError, match="this network was built for images"):
        model(jnp.ones((1, 6, 6, 1)))
    with pytest.raises(ValueError, match="expected sides divisible by 2, so that blocks tile"):
        model.patches(jnp.ones((1, 5, 5, 1)))


def test_a_dropped_path_is_a_whole_sample():
    layer = nn.DropPath(0.5, rngs=nnx.Rngs(0))
    kept = layer(jnp.ones((64, 3, 3, 4, 2)))
    first = kept.reshape(64, -1)[:, :1]
    np.testing.assert_array_equal(kept.reshape(64, -1), jnp.broadcast_to(first, (64, 72)))
    assert set(np.unique(first)) == {0.0, 2.0}
    layer.eval()
    np.testing.assert_array_equal(layer(kept), kept)


def test_the_patches_of_pixels_and_of_convolutions_agree():
    """Patches that tile the image are read by a product of matrices, others by a convolution."""
    group = families.QUARTER_TURNS_3D
    layer = nn.PatchLifting(2, 3, 2, group=group, rngs=nnx.Rngs(0))
    merging = nn.PatchMerging(3, 2, group=group, rngs=nnx.Rngs(0))
    x = jax.random.normal(jax.random.key(0), (2, 4, 8, 8, 2))
    expected = super(nn.PatchLifting, layer).__call__(x)
    np.testing.assert_allclose(layer(x), expected, atol=1e-5)
    np.testing.assert_allclose(merging(expected), super(nn.PatchMerging, merging).__call__(expected), atol=1e-5)

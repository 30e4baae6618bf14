"""Networks for volumes: every rotation and reflection of the cube, groups within slices, and inputs that do not fit."""

import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from gequi_jax import export, models, nn
from gequi_jax.actions import grid_preserving_elements, round_window
from gequi_jax.groups import group_by_name, icosahedral_group, octahedral_group
from gequi_jax.testing import assert_invariant, audit, equivariance_errors, resampling_errors
from tests import shrunk
from tests.models.test_agc_networks import called, set_mode
from tests.models.test_registry import parameter_count
from tests.models.test_restrict import logits, relative_error, trained
from tests.networks import outline, random_network, random_weights

CUBE = ("octahedral", "full_octahedral")
VOLUMES = [name for name in models.list_models() if name.startswith("volume_") and "unet" not in name]
# Networks of other dimensions in a volume, with the sizes that keep them small.
ELSEWHERE = {
    "cifar10_p4m_all_cnn": {"features": 2, "input_shape": (4, 4, 4, 1)},
    "cifar10_p4m_resnet44": {"features": (2, 2), "blocks_per_stage": 1, "input_shape": (4, 4, 4, 1)},
    "pcam_p4_densenet": {"features": 1, "num_blocks": 2, "input_shape": (10, 10, 10, 1)},
}


def errors(name, group, *, dtype="float32", gain=3.0, **overrides):
    """The change of the logits under every element, with weights three times as large as where training starts."""
    overrides = {**(shrunk.overrides(name) if name.startswith("volume_") else {}), **overrides, "group": group}
    model = random_network(name, gain=gain, param_dtype=dtype, **overrides)
    set_mode(model, "train")
    x = jnp.asarray(np.random.default_rng(1).normal(size=(2, *model.input_shape)), dtype)
    elements = grid_preserving_elements(group)
    return equivariance_errors(called(model), x, group=group, output="invariant", elements=elements)


def test_a_network_of_octahedral_rotations_is_invariant_under_all_of_them():
    measured = errors("volume_octahedral_cnn", octahedral_group())
    assert measured.shape == (24,)
    assert measured.max() < 1e-5


@pytest.mark.full_size
@pytest.mark.parametrize("name", [name for name in VOLUMES if "z2" not in name])
@pytest.mark.parametrize("group", [*CUBE, "tetrahedral", "p4m", "p4_depth_mirror", "icosahedral"])
def test_every_network_is_invariant_in_float32(name, group):
    measured = errors(name, group_by_name(group, dim=3))
    assert len(measured) == {"icosahedral": 12}.get(group, group_by_name(group, dim=3).order)
    assert measured.max() < 1e-5


@pytest.mark.full_size
@pytest.mark.parametrize("name", [name for name in VOLUMES if "z2" not in name])
@pytest.mark.parametrize("group", CUBE)
@pytest.mark.usefixtures("x64")
def test_every_network_is_invariant_in_float64(name, group):
    assert errors(name, group_by_name(group), dtype="float64").max() < 1e-12


@pytest.mark.full_size
@pytest.mark.parametrize("name", ELSEWHERE)
@pytest.mark.parametrize("group", CUBE)
def test_planar_architectures_work_in_volumes(name, group):
    assert errors(name, group_by_name(group), gain=1.0, **ELSEWHERE[name]).max() < 1e-5


def test_a_network_of_another_group_is_not_invariant():
    """The negative control: rotations in the plane of the slices do not make a network invariant to those of the cube."""
    overrides = {**shrunk.overrides("volume_p4m_cnn"), "features": (1, 1)}
    model = random_network("volume_p4m_cnn", gain=1.0, **overrides)
    set_mode(model, "train")
    x = jnp.asarray(np.random.default_rng(1).normal(size=(2, *model.input_shape)), "float32")
    call = called(model)
    assert_invariant(call, x, group=group_by_name("p4m", dim=3))
    with pytest.raises(AssertionError):
        assert_invariant(call, x, group=octahedral_group())


def test_networks_of_equal_cost_have_equally_many_channels():
    widths = {name: outline(name).lifting.out_features for name in VOLUMES if name.endswith("_cnn")}
    assert {name: width * models.model_info(name).group.order for name, width in widths.items()} == dict.fromkeys(
        widths, 48
    )


@pytest.mark.parametrize("group", ["z2", "p4m", "p4m_depth_mirror", "full_octahedral", "icosahedral"])
def test_any_group_of_volumes_can_stand_in_a_name(group):
    for name in (f"volume_{group}_cnn", f"volume_alpha_f_{group}_cnn", f"volume_{group}_sa"):
        assert models.model_info(name).group == group_by_name(group, dim=3)


@pytest.mark.parametrize("side", [32, 48, 64])
def test_larger_volumes_have_the_same_parameters(side):
    name = "volume_octahedral_cnn"
    model = nnx.eval_shape(lambda: models.create_model(name, rngs=nnx.Rngs(0), input_shape=(side, side, side, 1)))
    volumes = jax.ShapeDtypeStruct((1, side, side, side, 1), "float32")
    assert jax.eval_shape(lambda model, x: model(x), model, volumes).shape == (1, 2)
    assert parameter_count(model) == parameter_count(outline(name))


@pytest.mark.parametrize(
    ("name", "overrides", "message"),
    [
        ("volume_octahedral_cnn", {"group": group_by_name("p4")}, r"p4 acts on 2 dimensions; got \(28, 28, 28, 1\).*'octahedral'"),
        ("digits_alpha_f_p4_cnn", {"group": octahedral_group()}, r"octahedral acts on 3 dimensions; got \(8, 8, 1\).*'p4m'"),
        ("volume_octahedral_cnn", {"input_shape": (30, 30, 30, 1)}, "halved 2 times, which a side of 30 .*: 28 and 32. Resize the volumes"),
        ("volume_octahedral_resnet", {"input_shape": (26, 26, 26, 1)}, "a side of 26 .*: 24 and 28"),
        ("volume_octahedral_sa", {"input_shape": (30, 30, 30, 1)}, r"after the lifting layer halves .*\(15, 15, 15\)"),
        ("volume_octahedral_cnn", {"input_shape": (32, 64, 64, 1)}, "octahedral exchanges or mixes, .* 32x64x64: .*'p4m_depth_mirror', 'p4m'"),
        ("volume_octahedral_sa", {"input_shape": (32, 64, 64, 1)}, "works on 32x64x64: .*'p4m'"),
        ("volume_p4m_cnn", {"input_shape": (32, 64, 32, 1)}, "works on 32x64x32: .* 'p2m_depth_mirror', 'p2m', 'z2'"),
        ("cifar10_p4_all_cnn", {"input_shape": (32, 64, 3)}, "works on 32x64: .* 'p2m', 'p2', 'z2m', 'z2'"),
        ("volume_octahedral_cnn", {"layers_per_stage": (1,)}, "layers_per_stage: expected a number for each of the 2 stages"),
    ],
)  # fmt: skip
def test_inputs_that_do_not_fit_are_refused_with_what_does(name, overrides, message):
    with pytest.raises(ValueError, match=message):
        nnx.eval_shape(lambda: models.create_model(name, rngs=nnx.Rngs(0), **overrides))


@pytest.mark.parametrize("group", ["p4m", "p4m_depth_mirror"])
def test_groups_within_slices_take_volumes_with_other_slices(group):
    name = f"volume_{group}_cnn"
    model = nnx.eval_shape(lambda: models.create_model(name, rngs=nnx.Rngs(0), input_shape=(16, 32, 32, 1)))
    volumes = jax.ShapeDtypeStruct((1, 16, 32, 32, 1), "float32")
    assert jax.eval_shape(lambda model, x: model(x), model, volumes).shape == (1, 2)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in VOLUMES if "_octahedral" in name])
def test_restricted_and_plain_networks_compute_the_same_function(name):
    model, x = trained(name), shrunk.images(name)
    expected = logits(model, x)
    assert float(jnp.std(expected)) > 1e-4
    for subgroup in ("tetrahedral", "p4"):
        restricted = models.restrict(model, group_by_name(subgroup, dim=3))
        assert relative_error(logits(restricted, x), expected) < 1e-5
    assert relative_error(logits(export.to_plain(model), x), expected) < 1e-5


@pytest.mark.slow
def test_a_small_octahedral_network_is_audited_in_seconds():
    model = random_network("volume_octahedral_cnn", input_shape=(12, 12, 12, 1))
    model.eval()
    x = jnp.asarray(np.random.default_rng(1).normal(size=(1, 12, 12, 12, 1)), "float32")
    started = time.perf_counter()
    assert_invariant(called(model), x, group=model.group)
    report = audit(model, x, group=model.group)
    seconds = time.perf_counter() - started
    print(f"assert_invariant and audit: {seconds:.1f} s, {len(report.rows)} calls, {len(report.elements)} elements")
    assert report.passed, str(report)
    assert len(report.elements) == 24


def smooth_volume(side=16, wavelength=14.0):
    """A sum of waves longer than nine pixels that vanishes near the border, `[1, side, side, side, 2]`."""
    random = np.random.default_rng(0)
    grid = np.stack(np.meshgrid(*(np.arange(side) - (side - 1) / 2,) * 3, indexing="ij"), axis=-1)
    directions = random.normal(size=(3, 6, 2))
    directions *= 2 * np.pi / wavelength / np.linalg.norm(directions, axis=0)
    phases = random.uniform(0, 2 * np.pi, (6, 2))
    waves = np.cos(np.tensordot(grid, directions, axes=1) + phases).sum(axis=-2)
    return jnp.asarray(waves[None], "float32")


@pytest.mark.parametrize(
    "every", [pytest.param(6, marks=pytest.mark.slow), pytest.param(1, marks=pytest.mark.full_size)]
)
def test_icosahedral_attention_is_exact_for_12_elements_and_within_resampling_for_48(every):
    group = icosahedral_group()
    layer = random_weights(
        lambda: nn.LiftingSelfAttention(
            2, 4, group=group, num_heads=1, qkv_features=6, window_size=5, window_mask=round_window, rngs=nnx.Rngs(0)
        )
    )
    x, call = smooth_volume(), called(layer)
    exact = grid_preserving_elements(group)
    assert len(exact) == 12
    assert equivariance_errors(call, x, group=group, elements=exact).max() < 1e-5
    others = np.setdiff1d(np.arange(group.order), exact)[::every]
    measured, explained = resampling_errors(call, x, group=group, elements=others)
    print(
        f"measured {measured.min():.3f} to {measured.max():.3f}, explained {explained.min():.3f} to {explained.max():.3f}"
    )
    assert len(measured) == 48 // every
    assert (measured < 2 * explained).all()
    assert explained.max() < 0.5

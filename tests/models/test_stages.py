"""Networks whose symmetry shrinks with depth: invariant under the last group, and under no larger one."""

import functools

import jax
import numpy as np
import pytest
from flax import nnx

from gequi_jax import export, models, nn
from gequi_jax.groups import group_by_name, octahedral_group, subgroup_elements
from gequi_jax.testing import audit, equivariance_errors
from tests import families, shrunk
from tests.models.test_registry import parameter_count
from tests.models.test_restrict import logits, perturbed, relative_error
from tests.models.test_weights import arrays

P4M, P4, P2, Z2 = (group_by_name(name) for name in ("p4m", "p4", "p2", "z2"))
# A network of each architecture with stages; the digits have attention to the input.
NETWORKS = {
    "rotmnist_p4m_cnn": (P4M, P4, P2),
    "digits_alpha_f_p4m_cnn": (P4M, P4, P2),
    "cifar10_p4m_resnet44": (P4M, P4, P2),
    "pcam_p4m_densenet": (P4M, P2),
    "rotmnist_alpha_f_p4m_cnn": (P4M, P4, P2),
    "rotmnist_alpha_p4m_cnn": (P4M, P4M, P4),
    "cifar10_alpha_f_p4m_resnet44": (P4M, P4, P4),
    "rotmnist_vit_p4m": (P4M, P4),
}
VOLUMES = {"volume_octahedral_cnn": (octahedral_group(), families.QUARTER_TURNS_3D)}
PLAIN, ATTENTIVE = QUICK = ("rotmnist_p4m_cnn", "digits_alpha_f_p4m_cnn")
# What covers most in minutes: plain, attentive and residual layers, and blocks of layers.
COVERING = (*QUICK, "pcam_p4m_densenet", "cifar10_alpha_f_p4m_resnet44", "rotmnist_vit_p4m")


def marked(names, *, quick=()):
    """Names that run by default, with -m slow, or, if others cover their layers, with -m full_size."""
    kinds = {name: pytest.mark.slow if name in {*COVERING, *VOLUMES} else pytest.mark.full_size for name in names}
    return [pytest.param(name, marks=() if name in quick else kind) for name, kind in kinds.items()]


@functools.cache
def network(name, groups, **options):
    """The network in `eval()` mode."""
    model = shrunk.network(name, group_by_stage=groups, **options)
    model.eval()
    return model


@pytest.mark.parametrize("name", QUICK)
def test_invariant_under_the_last_group_alone(name):
    assert_invariant_under_the_last_alone(name, "float32", rtol=1e-5)


@pytest.mark.parametrize("name", marked(NETWORKS | VOLUMES))
@pytest.mark.usefixtures("x64")
def test_invariant_in_float64(name):
    assert_invariant_under_the_last_alone(name, "float64", rtol=1e-12)


def assert_invariant_under_the_last_alone(name, dtype, *, rtol):
    """With weights three times as large."""
    groups = (NETWORKS | VOLUMES)[name]
    model = network(name, groups, gain=3.0, param_dtype=dtype)
    assert model.group == groups[-1]
    x = shrunk.images(name).astype(dtype)
    errors = equivariance_errors(model, x, group=groups[0], output="invariant")
    inside = np.isin(np.arange(groups[0].order), subgroup_elements(groups[0], groups[-1]))
    assert errors[inside].max() <= rtol
    # The negative control: every other element of the first group changes the logits.
    assert errors[~inside].min() > 1e-3


@pytest.mark.parametrize("name", marked(NETWORKS, quick=(PLAIN,)))
def test_every_stage_is_equivariant_under_its_own_group(name):
    """With z2 for the last group, whose own audit tests nothing."""
    groups = (*NETWORKS[name][:-1], Z2)
    report = audit(network(name, groups), shrunk.images(name), group=Z2, weight_scale=3.0)
    assert report.passed, str(report)
    assert {row.group for row in report.rows} == {group.name for group in groups}


@pytest.mark.parametrize("name", [*QUICK, "cifar10_p4m_resnet44", "pcam_p4m_densenet", *VOLUMES])
def test_equal_stages_are_the_ordinary_network(name):
    """Its modules, and the random streams of its parameters, in the same order."""

    def split(**options):
        model = nnx.eval_shape(lambda: models.create_model(name, rngs=nnx.Rngs(0), **shrunk.overrides(name), **options))
        del model.spec
        return nnx.split(model)

    groups = (NETWORKS | VOLUMES)[name]
    (graph, state), (ordinary, ordinary_state) = split(group_by_stage=groups[:1] * len(groups)), split()
    assert graph == ordinary
    assert jax.tree.structure(state) == jax.tree.structure(ordinary_state)


def test_equal_stages_compute_the_same_bit_for_bit():
    x, overrides = shrunk.images(PLAIN), shrunk.overrides(PLAIN)

    def outputs(**options):
        @jax.jit
        def initial():
            model = models.create_model(PLAIN, rngs=nnx.Rngs(0), **overrides, **options)
            model.eval()
            return nnx.state(model, nnx.Param), model(x)

        return initial()

    jax.tree.map(np.testing.assert_array_equal, outputs(group_by_stage=(P4M,) * 3), outputs())


def test_parameters_of_a_network_from_p4m_to_p4_to_z2():
    """Every filter has |K| poses and |H| / |K| times as many input channels where the group shrinks from H to K."""
    features = 3
    model = nnx.eval_shape(
        lambda: models.create_model(
            "rotmnist_p4m_cnn", rngs=nnx.Rngs(0), features=features, group_by_stage=(P4M, P4, Z2)
        )
    )
    square = 9 * features**2
    convs = 9 * features + 8 * square + 4 * (2 * square) + 3 * 4 * square
    readout, norms = 16 * (4 * features) * 10, 6 * 2 * features
    assert parameter_count(model) == convs + readout + norms
    assert model.readout.layers[1].in_features == 4 * features


@pytest.mark.parametrize("name", marked(NETWORKS | VOLUMES, quick=(ATTENTIVE,)))
def test_weights_go_through_a_file_bit_for_bit(name, tmp_path):
    model = network(name, (NETWORKS | VOLUMES)[name])
    models.save_weights(model, tmp_path / "model.safetensors")
    loaded = models.load_model(tmp_path / "model.safetensors")
    assert loaded.group == model.group
    assert nnx.graphdef(loaded) == nnx.graphdef(model)
    jax.tree.map(np.testing.assert_array_equal, arrays(loaded), arrays(model))


@pytest.mark.parametrize("name", marked(NETWORKS, quick=(PLAIN,)))
def test_restriction_and_plain_layers_keep_the_function(name):
    """Restricted in two steps, so that the cosets of the first are split again."""
    model = perturbed(network(name, (*NETWORKS[name][:-1], P4)))
    x = shrunk.images(name)
    expected = logits(model, x)
    assert float(expected.std()) > 1e-4
    half = models.restrict(model, P2)
    twice = models.restrict(half, Z2)
    assert (half.group, twice.group) == (P2, Z2)
    for same in (half, twice, export.to_plain(half)):
        assert relative_error(logits(same, x), expected) < 1e-5
    # A linear map of all poses adds up in another order than its blocks do.
    limit = 5e-6 if name == "rotmnist_vit_p4m" else 1e-6
    assert relative_error(logits(export.to_plain(model), x), expected) < limit
    # The negative control: the cosets in another order.
    broken = nnx.clone(model)
    layer = next(layer for _, layer in nnx.iter_modules(broken) if isinstance(layer, nn.RestrictPoses))
    layer.input_group = P4M.subgroup([0, 5, 2, 7, 4, 1, 6, 3])
    assert relative_error(logits(broken, x), expected) > 1e-4


@pytest.mark.slow
def test_stablehlo(tmp_path):
    model = network(ATTENTIVE, NETWORKS[ATTENTIVE])
    export.to_stablehlo(model, tmp_path / "model.stablehlo")
    program = jax.export.deserialize(bytearray((tmp_path / "model.stablehlo").read_bytes()))
    x = shrunk.images(ATTENTIVE)
    assert relative_error(program.call(x), logits(model, x)) < 1e-6


ERRORS = {
    "not_one_for_each_stage": ((P4M, P4), r"expected 3 groups, one for each stage; got 2 \(p4m, p4\); repeat"),
    "not_the_group_of_the_network": (
        (P4, P4, Z2),
        "expected p4m, the group of the network, for the first stage; got p4,",
    ),
    "growing": ((P4M, P2, P4), "expected each group to be a subgroup of the one before; got p4 after p2; order"),
    "not_a_group": ((P4M, "p4", Z2), "expected a FiniteGroup"),
}


@pytest.mark.parametrize("fault", ERRORS)
@pytest.mark.parametrize("name", [PLAIN, "cifar10_p4m_resnet44"])
def test_groups_that_do_not_shrink_are_refused(name, fault):
    groups, message = ERRORS[fault]
    with pytest.raises(ValueError, match=message):
        models.create_model(name, rngs=nnx.Rngs(0), group_by_stage=groups)

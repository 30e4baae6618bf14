"""The (attentive) group-convolutional networks: parameters, invariance in both modes, strided originals, sizes, memory."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from gequi_jax import models
from gequi_jax.groups import cyclic_group, dihedral_group, group_by_name
from gequi_jax.models import AllCNN, DenseNet
from gequi_jax.nn import AttentiveGroupConv, AttentiveLiftingConv, GroupConv
from gequi_jax.testing import equivariance_errors
from tests import families
from tests.networks import outline, random_network

PUBLISHED_COUNTS = {
    "rotmnist_z2_cnn": 21_620,
    "rotmnist_p4_cnn": 24_610,
    "rotmnist_big11_p4_cnn": 29_051,
    "rotmnist_big15_p4_cnn": 50_415,
    "rotmnist_big19_p4_cnn": 77_539,
    "rotmnist_alpha_rh_p4_cnn": 24_851,
    "rotmnist_alpha_p4_cnn": 73_130,
    "rotmnist_alpha_ch_p4_cnn": 48_630,
    "rotmnist_alpha_sp_p4_cnn": 49_110,
    "rotmnist_alpha_f_p4_cnn": 29_462,
    "cifar10_z2_all_cnn": 1_370_996,
    "cifar10_p4_all_cnn": 1_370_372,
    "cifar10_alpha_f_p4_all_cnn": 1_400_120,
    "cifar10_p4m_all_cnn": 1_219_252,
    "cifar10_alpha_f_p4m_all_cnn": 1_249_192,
    "cifar10_alpha_p4_all_cnn": 3_642_388,
    "cifar10_alpha_ch_p4_all_cnn": 3_407_972,
    "cifar10_alpha_sp_p4_all_cnn": 1_604_788,
    "cifar10_z2_resnet44": 2_636_064,
    "cifar10_p4m_resnet44": 2_621_683,
    "cifar10_alpha_f_p4m_resnet44": 2_693_911,
    "pcam_z2_densenet": 130_598,
    "pcam_p4_densenet": 129_649,
    "pcam_alpha_f_p4_densenet": 140_453,
    "pcam_p4m_densenet": 124_209,
    "pcam_alpha_f_p4m_densenet": 141_221,
}
# Of them: filters, norms, the layers of channel attention, and the filters of spatial or pose attention.
PARTS = {
    "rotmnist_z2_cnn": (21_380, 240, 0, 0),
    "rotmnist_p4_cnn": (24_490, 120, 0, 0),
    "rotmnist_big11_p4_cnn": (28_919, 132, 0, 0),
    "rotmnist_big15_p4_cnn": (50_235, 180, 0, 0),
    "rotmnist_big19_p4_cnn": (77_311, 228, 0, 0),
    "rotmnist_alpha_rh_p4_cnn": (24_490, 120, 0, 241),
    "rotmnist_alpha_p4_cnn": (24_490, 120, 24_020, 24_500),
    "rotmnist_alpha_ch_p4_cnn": (24_490, 120, 24_020, 0),
    "rotmnist_alpha_sp_p4_cnn": (24_490, 120, 0, 24_500),
    "rotmnist_alpha_f_p4_cnn": (24_490, 120, 2_402, 2_450),
    "cifar10_z2_all_cnn": (1_368_480, 2_516, 0, 0),
    "cifar10_p4_all_cnn": (1_369_104, 1_268, 0, 0),
    "cifar10_alpha_f_p4_all_cnn": (1_369_104, 1_268, 26_514, 3_234),
    "cifar10_p4m_all_cnn": (1_218_400, 852, 0, 0),
    "cifar10_alpha_f_p4m_all_cnn": (1_218_400, 852, 23_570, 6_370),
    "cifar10_alpha_p4_all_cnn": (1_369_104, 1_268, 2_037_600, 234_416),
    "cifar10_alpha_ch_p4_all_cnn": (1_369_104, 1_268, 2_037_600, 0),
    "cifar10_alpha_sp_p4_all_cnn": (1_369_104, 1_268, 0, 234_416),
    "cifar10_z2_resnet44": (2_629_728, 6_336, 0, 0),
    "cifar10_p4m_resnet44": (2_619_449, 2_234, 0, 0),
    "cifar10_alpha_f_p4m_resnet44": (2_619_449, 2_234, 36_850, 35_378),
    "pcam_z2_densenet": (128_778, 1_820, 0, 0),
    "pcam_p4_densenet": (128_739, 910, 0, 0),
    "pcam_alpha_f_p4_densenet": (128_739, 910, 7_298, 3_506),
    "pcam_p4m_densenet": (123_579, 630, 0, 0),
    "pcam_alpha_f_p4m_densenet": (123_579, 630, 10_098, 6_914),
}
SMALL = {
    "rotmnist_alpha_p4_cnn": {"features": 2},
    "rotmnist_alpha_rh_p4_cnn": {"features": 3},
    "cifar10_alpha_f_p4_all_cnn": {"features": 16, "input_shape": (8, 8, 2)},
    "cifar10_alpha_f_p4m_resnet44": {"features": (2, 3, 4), "blocks_per_stage": 1, "input_shape": (8, 8, 2)},
    "pcam_p4_densenet": {"features": 3, "num_blocks": 3, "input_shape": (24, 24, 2)},
}
GROUPS = [cyclic_group(4), dihedral_group(4), families.KLEIN, families.SHUFFLED_SQUARE]


@pytest.mark.parametrize("name", PUBLISHED_COUNTS)
def test_parameter_counts_are_those_of_the_published_networks(name):
    filters, norms, channel_attention, filters_of_attention = 0, 0, 0, 0
    for path, leaf in nnx.to_flat_state(nnx.state(outline(name), nnx.Param)):
        if "attention_params" in path:
            channel_attention += leaf.size * (path[-1] in ("w1", "w2"))
            filters_of_attention += leaf.size * (path[-1] == "kernel")
        elif path[-1] == "kernel":
            filters += leaf.size
        else:
            norms += leaf.size
    assert (filters, norms, channel_attention, filters_of_attention) == PARTS[name]
    assert sum(PARTS[name]) == PUBLISHED_COUNTS[name]


def called(model):
    graph, state = nnx.split(model)
    call = jax.jit(lambda state, x: nnx.merge(graph, state, copy=True)(x))
    return lambda x: call(state, x)


def images(model_or_name, overrides):
    shape = overrides.get("input_shape") or models.model_info(model_or_name).input_shape
    return jax.random.normal(jax.random.key(1), (2, *shape))


def set_mode(model, mode):
    """Train mode without dropout, or eval mode."""
    getattr(model, mode)()
    for _, module in nnx.iter_modules(model):
        if isinstance(module, nnx.Dropout):
            module.deterministic = True


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "group"),
    [pytest.param("rotmnist_alpha_p4_cnn", group, marks=pytest.mark.slow) for group in GROUPS]
    + [(name, GROUPS[-1]) for name in list(SMALL)[1:]],
    ids=lambda value: value if isinstance(value, str) else families.name(value),
)
def test_networks_are_invariant_in_both_modes(name, group):
    """Every element. Weights are three times their usual size where batch statistics keep the signal in bounds.

    In eval mode without recorded statistics the signal would grow by that factor twice a layer, and sigmoids of large
    numbers turn its rounding into errors of any size.
    """
    overrides = {**SMALL[name], "group": group}
    x = images(name, overrides)
    for mode, gain in (("train", 3.0), ("eval", 1.0)):
        model = random_network(name, gain=gain, **overrides)
        set_mode(model, mode)
        errors = equivariance_errors(called(model), x, group=group, output="invariant")
        assert errors.max() < 1e-5, mode


@pytest.mark.full_size
@pytest.mark.parametrize("name", [name for name in PUBLISHED_COUNTS if "_z2_" not in name])
def test_published_networks_are_invariant_as_they_are_initialised(name):
    """Full size, both modes, and three times the initial weights in both."""
    model = models.create_model(name, rngs=nnx.Rngs(0))
    nnx.update(model, jax.tree.map(lambda weight: 3 * weight, nnx.state(model, nnx.Param)))
    info = models.model_info(name)
    x = jax.random.normal(jax.random.key(1), (2, *info.input_shape))
    for mode in ("train", "eval"):
        set_mode(model, mode)
        errors = equivariance_errors(called(model), x, group=info.group, output="invariant")
        print(f"{name} {mode}: {errors.max():.1e}")
        assert errors.max() < 1e-5, mode


@pytest.mark.full_size
@pytest.mark.parametrize("name", ["cifar10_p4_all_cnn", "cifar10_p4m_resnet44"])
def test_strided_originals_of_full_size_are_not_invariant(name):
    for downsampling in ("pool", "stride"):
        model = random_network(name, downsampling=downsampling)
        model.eval()
        x = jax.random.normal(jax.random.key(1), (2, *models.model_info(name).input_shape))
        errors = equivariance_errors(called(model), x, group=model.group, output="invariant")
        print(f"{name} {downsampling}: {errors.max():.1e}")
        assert (errors.max() < 1e-5) == (downsampling == "pool")


@pytest.mark.parametrize(
    ("name", "overrides"),
    [("cifar10_p4_all_cnn", {"features": 4}), ("cifar10_p4m_resnet44", {"features": (2, 3, 4), "blocks_per_stage": 1})],
)
def test_strided_originals_are_not_invariant(name, overrides):
    """What Appendix C is about: the same weights, once pooled and once strided, at an even size."""
    overrides = {**overrides, "input_shape": (16, 16, 3)}
    group = models.model_info(name).group
    for downsampling, exact in (("pool", True), ("stride", False)):
        model = random_network(name, downsampling=downsampling, **overrides)
        model.eval()
        errors = equivariance_errors(called(model), images(name, overrides), group=group, output="invariant")
        print(f"{name}, small, {downsampling}: {errors.max():.1e}")
        assert (errors.max() < 1e-5) == exact
        assert exact or errors.max() > 1e-3


@pytest.mark.slow
def test_a_finer_group_is_exact_for_the_quarter_turns_it_holds():
    model = random_network("rotmnist_alpha_f_r8_cnn", gain=1.5, features=3)
    model.eval()
    assert model.group == group_by_name("r8")
    x = images("rotmnist_alpha_f_r8_cnn", {})
    errors = equivariance_errors(called(model), x, group=model.group, output="invariant", elements=(2, 4, 6))
    assert errors.max() < 1e-5


def test_names_with_a_word_more_are_families_of_their_own():
    def layers(name):
        return outline(name).convs

    assert isinstance(layers("rotmnist_p4_cnn")[1], GroupConv)
    attentive = layers("rotmnist_alpha_f_p4_cnn")
    assert isinstance(attentive[1], AttentiveGroupConv)
    assert attentive[0].attention.operators[1][1].kernel_dilation == 4
    assert attentive[1].attention.operators[1][1].kernel_dilation == 1
    assert layers("rotmnist_big19_p4_cnn")[1].in_features == 19
    assert models.model_info("rotmnist_alpha_ch_r8m_cnn").group == group_by_name("p8m")
    with pytest.raises(ValueError, match="there is no 'rotmnist_alpha_x_p4_cnn'"):
        models.model_info("rotmnist_alpha_x_p4_cnn")


def test_widths_follow_the_order_of_the_group():
    def width(name, **overrides):
        return nnx.eval_shape(lambda: models.create_model(name, rngs=nnx.Rngs(0), **overrides)).convs[0].out_features

    assert width("cifar10_p4_all_cnn") == width("cifar10_p4_all_cnn", group=families.KLEIN) == 48
    assert width("cifar10_p4m_all_cnn") == width("cifar10_p4_all_cnn", group=families.SHUFFLED_SQUARE) == 32
    assert width("cifar10_p4_all_cnn", group=families.KLEIN, features=5) == 5


def test_what_is_known_of_a_row():
    info = models.model_info("cifar10_alpha_f_p4m_all_cnn")
    assert (info.table, info.reported_params, info.reported_metric) == ("Tab. 2", 1_250_000, 93.07)
    assert models.model_info("cifar10_alpha_p4_all_cnn").reported_metric is None
    assert models.model_info("pcam_p4_densenet").input_shape == (96, 96, 3)


def test_sizes_that_would_break_the_symmetry_are_refused_when_the_network_is_built():
    def build(name, **overrides):
        return nnx.eval_shape(lambda: models.create_model(name, rngs=nnx.Rngs(0), **overrides))

    with pytest.raises(ValueError, match=r"halved twice, which a side of 30 .* nearest that do: 28 and 32"):
        build("cifar10_p4_all_cnn", input_shape=(32, 30, 3))
    with pytest.raises(ValueError, match="nearest that do: 28 and 32"):
        build("cifar10_p4m_resnet44", input_shape=(30, 30, 3))
    with pytest.raises(ValueError, match=r"loses 2 positions .* nearest that do: 80 and 96"):
        build("pcam_p4_densenet", input_shape=(90, 90, 3))
    with pytest.raises(ValueError, match="expected 2 sides and a number of channels"):
        build("cifar10_p4_all_cnn", input_shape=(32, 32))
    with pytest.raises(ValueError, match="downsampling: expected one of 'pool', 'stride'"):
        build("cifar10_p4_all_cnn", downsampling="crop")
    with pytest.raises(ValueError, match="block_conv: expected one constructor, or 5"):
        build("pcam_p4_densenet", block_conv=(GroupConv,) * 4)
    with pytest.raises(ValueError, match="reads images of 28 positions"):
        build("rotmnist_p4_cnn", input_shape=(32, 32, 1))
    with pytest.raises(ValueError, match="group: expected a FiniteGroup"):
        build("rotmnist_p4_cnn", group="p4")


def test_networks_take_any_constructor_of_layers():
    """One class for each architecture: an attentive layer of one's own is an argument."""
    group = cyclic_group(4)

    def own(*args, **options):
        return AttentiveGroupConv(*args, attention="rh", **options)

    sizes = {"group": group, "num_classes": 3, "features": 2}
    all_cnn = nnx.eval_shape(lambda: AllCNN(input_shape=(8, 8, 1), conv=own, rngs=nnx.Rngs(0), **sizes))
    dense = nnx.eval_shape(
        lambda: DenseNet(input_shape=(12, 12, 1), num_blocks=2, block_conv=own, rngs=nnx.Rngs(0), **sizes)
    )
    assert all(isinstance(layer, AttentiveGroupConv) for layer in all_cnn.convs[1:])
    assert isinstance(dense.block_convs[0], AttentiveGroupConv)
    assert isinstance(dense.transition_convs[0], GroupConv)


def training_step(graph):
    """Stochastic gradient descent, in a form that merges the model inside the differentiated function."""

    def step(params, rest, x, labels):
        def loss(params):
            model = nnx.merge(graph, params, rest)
            model.train()
            log_probabilities = jax.nn.log_softmax(model(x))
            chosen = jnp.take_along_axis(log_probabilities, labels[:, None], axis=-1)
            return -chosen.mean(), nnx.split(model, nnx.Param, ...)[2]

        (value, rest), gradients = jax.value_and_grad(loss, has_aux=True)(params)
        return jax.tree.map(lambda p, g: p - 0.01 * g, params, gradients), rest, value

    return jax.jit(step, donate_argnums=(0, 1))


@pytest.mark.slow
def test_a_training_step_records_statistics_and_moves_every_parameter():
    overrides = SMALL["cifar10_alpha_f_p4_all_cnn"]
    model = random_network("cifar10_alpha_f_p4_all_cnn", **overrides)
    graph, params, rest = nnx.split(model, nnx.Param, ...)
    x = images("cifar10_alpha_f_p4_all_cnn", overrides)
    before = jax.tree.map(np.array, (params, nnx.state(model, nnx.BatchStat)))
    params, rest, loss = training_step(graph)(params, rest, x, jnp.array([1, 2]))
    after = (params, nnx.state(nnx.merge(graph, params, rest), nnx.BatchStat))
    assert np.isfinite(float(loss))
    moved = [bool((a != b).any()) for a, b in zip(*map(jax.tree.leaves, (before, after)), strict=True)]
    assert np.mean(moved) > 0.9


@pytest.mark.full_size
def test_the_network_of_72_gigabytes_trains_in_8():
    """Compiled, not run: temporary memory of a step at batch 128, in blocks and with all responses at once."""
    planned = {}
    for form, block_size in (("blocks", None), ("direct", 2**30)):
        options = {"attention": "full", "block_size": block_size}
        layers = {
            "lifting": partial(AttentiveLiftingConv, reduction_ratio=1, **options),
            "conv": partial(AttentiveGroupConv, reduction_ratio=16, **options),
        }
        model = nnx.eval_shape(lambda: models.create_model("cifar10_alpha_p4_all_cnn", rngs=nnx.Rngs(0), **layers))  # noqa: B023
        graph, params, rest = nnx.split(model, nnx.Param, ...)
        x = jax.ShapeDtypeStruct((128, 32, 32, 3), jnp.float32)
        labels = jax.ShapeDtypeStruct((128,), jnp.int32)
        compiled = training_step(graph).lower(params, rest, x, labels).compile()
        planned[form] = compiled.memory_analysis().temp_size_in_bytes
        print(f"a step of cifar10_alpha_p4_all_cnn at batch 128, {form}: {planned[form] / 1e9:.2f} GB")
    assert planned["blocks"] < 8e9
    assert planned["direct"] > 72e9


@pytest.mark.full_size
def test_the_network_of_72_gigabytes_takes_a_step():
    model = random_network("cifar10_alpha_p4_all_cnn")
    graph, params, rest = nnx.split(model, nnx.Param, ...)
    x = jax.random.normal(jax.random.key(0), (2, 32, 32, 3))
    _, _, loss = training_step(graph)(params, rest, x, jnp.array([1, 2]))
    assert np.isfinite(float(loss))

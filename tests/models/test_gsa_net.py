"""GSA-Nets: sizes, parameters, readouts and exactness."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from gequi_jax import functional, models
from gequi_jax.actions import round_window
from gequi_jax.groups import cyclic_group, dihedral_group
from gequi_jax.models._gsa_net import READOUTS
from gequi_jax.nn import FourierEncoding
from gequi_jax.testing import equivariance_errors
from tests import shrunk
from tests.networks import outline

PUBLISHED_COUNTS = {
    "rotmnist_z2_sa": 44_368,
    "rotmnist_r4_sa": 44_428,
    "rotmnist_r8_sa": 44_508,
    "rotmnist_r12_sa": 44_588,
    "rotmnist_r16_sa": 44_668,
    "cifar10_z2_sa": 3_001_648,
    "cifar10_z2m_sa": 3_001_808,
    "pcam_z2_sa": 206_926,
    "pcam_r4_sa": 207_034,
    "pcam_r8_sa": 207_178,
    "pcam_r4m_sa": 207_178,
}


def changed_outline(name, **overrides):
    return nnx.eval_shape(lambda: models.create_model(name, rngs=nnx.Rngs(0), **overrides))


def parameters(part):
    state = part if isinstance(part, nnx.Param) else nnx.state(part, nnx.Param)
    return sum(math.prod(x.shape) for x in jax.tree.leaves(state))


@pytest.mark.parametrize(
    "name", shrunk.slow_unless(("rotmnist_r4_sa", "cifar10_z2_sa", "pcam_r4_sa"), PUBLISHED_COUNTS)
)
def test_parameter_counts_are_those_of_the_published_networks(name):
    assert name in models.list_models()
    count = parameters(outline(name))
    assert count == PUBLISHED_COUNTS[name]
    assert count == pytest.approx(models.model_info(name).reported_params, rel=0.01)


def test_the_group_changes_the_pose_tables_alone():
    # Eighty more parameters for four more elements: five tables of four features.
    small, large = outline("rotmnist_r4_sa"), outline("rotmnist_r8_sa")
    shapes = [{path: x.shape for path, x in nnx.to_flat_state(nnx.state(model, nnx.Param))} for model in (small, large)]
    changed = {path for path in shapes[0] if shapes[0][path] != shapes[1][path]}
    assert {path[-1] for path in changed} == {"pose_encoding"}
    assert parameters(large) - parameters(small) == sum(4 * shapes[0][path][1] for path in changed) == 80


def test_where_the_parameters_are():
    model = outline("rotmnist_r4_sa")
    block = model.blocks[0]
    attention = block.attention
    projections = sum(parameters(part) for part in (attention.query, attention.key, attention.value, attention.out))
    assert projections == 3 * (20 * 90 + 90) + 90 * 20 + 20
    assert parameters(attention.position_encoding) == 2 * (16 + 16 + 32 + 16 * 3 + 3)
    assert attention.pose_encoding.shape == (4, 4)
    pointwise = (20 * 10 + 10) + (10 * 20 + 20)
    norms = 2 * (20 + 20 + 10 + 20)
    assert parameters(block) == projections + parameters(attention.position_encoding) + 16 + pointwise + norms
    lifting = 3 * (90 + 90) + 90 * 20 + 20 + 2 * (16 + 16 + 32 + 16 * 5 + 5)
    assert parameters(model.lifting) == lifting
    assert parameters(model) == lifting + 40 + 5 * parameters(block) + 200


# The table of the documentation: where the parameters of a network are.
PARTS = {
    "rotmnist_r4_sa": (39_810, 1_448, 80, 2_150, 740, 200),
    "rotmnist_r16_sa": (39_810, 1_448, 320, 2_150, 740, 200),
    "cifar10_z2m_sa": (2_797_824, 7_152, 320, 185_952, 8_640, 1_920),
    "pcam_r4m_sa": (181_992, 1_966, 288, 20_940, 1_800, 192),
}


def parameters_by_part(model):
    layers = [model.lifting, *(block.attention for block in model.blocks)]
    norms = [model.norm, *model.norms_between]
    pointwise = []
    for block in model.blocks:
        norms += [block.norm_in, block.norm_out, block.norm_hidden, block.norm_project]
        pointwise += [block.expand, block.project, *([] if block.shortcut is None else [block.shortcut])]
    return tuple(
        sum(parameters(part) for part in parts)
        for parts in (
            [part for layer in layers for part in (layer.query, layer.key, layer.value, layer.out)],
            [layer.position_encoding for layer in layers],
            [block.attention.pose_encoding for block in model.blocks],
            pointwise,
            norms,
            [model.head],
        )
    )


@pytest.mark.parametrize("name", PARTS)
def test_parameters_by_part(name):
    parts = parameters_by_part(outline(name))
    assert parts == PARTS[name]
    assert sum(parts) == PUBLISHED_COUNTS[name]


def test_architectures():
    cifar, pcam = outline("cifar10_z2m_sa"), outline("pcam_r4m_sa")
    widths = [block.attention.out_features for block in cifar.blocks]
    assert (cifar.lifting.out_features, widths) == (96, [96, 96, 192, 192, 192, 192])
    assert (cifar.input_dropout.rate, cifar.pool_dropout.rate, cifar.pool_after) == (0.3, 0.2, (1, 3))
    widths = [block.attention.out_features for block in pcam.blocks]
    assert (pcam.lifting.out_features, widths) == (12, [24, 48, 48, 96])
    assert pcam.pool_lifting
    for model in (cifar, pcam):
        layers = [model.lifting, *(block.attention for block in model.blocks)]
        assert all(layer.num_heads == 9 and layer.head_features == layer.out_features // 2 for layer in layers)
        assert all(layer.window_size == 5 and layer.dropout.rate == 0.1 for layer in layers)


@pytest.mark.parametrize("window_size", shrunk.slow_unless([3, 19, None], [3, 5, 7, 9, 11, 15, 19, 23, None]))
def test_every_window_of_table_1(window_size):
    model = changed_outline("rotmnist_r4_sa", window_size=window_size)
    assert parameters(model) == PUBLISHED_COUNTS["rotmnist_r4_sa"]
    # Maps of 28, 24, 12, 8 and 6: no window needs more than twice the side, less one.
    expected = [window_size and min(window_size, 2 * side - 1) for side in (28, 24, 12, 8, 6)]
    assert [block.attention.window_size for block in model.blocks] == expected
    y = jax.eval_shape(lambda m, x: m(x), _evaluated(model), jnp.ones((1, 28, 28, 1)))
    assert y.shape == (1, 10)


def _evaluated(model):
    model.eval()
    return model


@pytest.mark.slow
def test_any_group_in_the_place_of_the_name_or_from_the_caller():
    assert outline("rotmnist_r8m_sa").group == dihedral_group(8)
    assert changed_outline("rotmnist_r4_sa", group=cyclic_group(6)).group.order == 6


SMALL = {"num_classes": 3, "features": 6, "num_heads": 2, "window_size": 3}


def small_net(group=None, **options):
    options = {"input_shape": (8, 8, 2), "crops": (1, 0), "pool_after": (0,), **SMALL, **options}
    model = models.GSANet(
        group=dihedral_group(4) if group is None else group, rngs=nnx.Rngs(params=0, dropout=1), **options
    )
    model.eval()
    return model


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"window_size": 9}, r"larger than images of shape \(8, 8\); use an odd side of at most 7, or None"),
        ({"window_size": 4}, "window_size: expected an odd positive integer"),
        ({"crops": (1, 2)}, r"block 1 removes 2 positions .* map of shape \(3, 3\).*use 0 to 1"),
        ({"crops": (4, 0)}, r"block 0 removes 4 positions .*\(8, 8\), which leaves nothing; use 0 to 3"),
        ({"crops": (-1, 0)}, "crops: expected numbers of positions, 0 or more; got -1"),
        (
            {"pool_after": (0, 1)},
            r"pooling after block 1 .*\(3, 3\), whose side 3 is odd.*Sides that work here are 2 and 4",
        ),
        ({"input_shape": (9, 9, 2)}, r"pooling after block 0 halves a map of shape \(7, 7\)"),
        ({"input_shape": (9, 9, 2), "pool_lifting": True}, r"pooling after the lifting layer .*\(9, 9\)"),
        ({"pool_after": (2,)}, "pool_after: expected blocks from 0 to 1"),
        ({"block_features": (6,)}, "block_features: expected one number for each of the 2 blocks"),
        ({"input_shape": (8, 8)}, "input_shape: expected 2 sides and a number of channels"),
        ({"readout": "mean"}, r"readout: expected one of .*max_then_mean.*got 'mean'"),
    ],
)
def test_bad_sizes_are_errors_at_construction(options, message):
    with pytest.raises(ValueError, match=message):
        small_net(**options)


def test_a_group_that_does_not_exist_and_images_of_another_size():
    with pytest.raises(ValueError, match="there is no 'rotmnist_q4_sa'"):
        models.create_model("rotmnist_q4_sa", rngs=nnx.Rngs(0))
    with pytest.raises(ValueError, match=r"built for images \[batch, 8, 8, 2\]"):
        small_net()(jnp.ones((1, 8, 6, 2)))


def scaled(model, factor=3.0):
    nnx.update(model, jax.tree.map(lambda x: factor * x, nnx.state(model, nnx.Param)))
    return model


def logits_error(model, x):
    run = nnx.jit(lambda model, x: model(x))
    elements = [h for h, m in enumerate(model.group.matrices) if np.isin(m, (-1, 0, 1)).all()]
    return equivariance_errors(
        lambda x: run(model, x), x, group=model.group, output="invariant", elements=elements
    ).max()


@pytest.mark.parametrize(
    "options",
    [
        {},
        pytest.param({"readout": "sum_then_max"}, marks=pytest.mark.slow),
        pytest.param({"readout": "mean_then_max"}, marks=pytest.mark.slow),
        {"normalize_between": True, "block_features": (8, 10), "pool_lifting": True, "pool_after": (), "crops": (0, 1)},
        {"window_size": None, "position_encoding": FourierEncoding},
        {"window_mask": round_window, "pose_index": functional.query_and_key_pose},
    ],
    ids=lambda options: "-".join(options) or "default",
)
def test_small_networks_are_exact_with_weights_scaled_three_times(options):
    x = jax.random.normal(jax.random.key(1), (2, 8, 8, 2))
    assert logits_error(scaled(small_net(**options)), x) < 1e-5


@pytest.mark.slow
def test_small_networks_are_exact_in_64_bits(x64):
    model = scaled(small_net(param_dtype=jnp.float64))
    x = jax.random.normal(jax.random.key(1), (2, 8, 8, 2), jnp.float64)
    assert logits_error(model, x) < 1e-12


def test_the_published_pooling_of_an_odd_map_is_not_equivariant():
    options = {"crops": (1, 0), "pool_after": (0, 1)}
    x = jax.random.normal(jax.random.key(1), (4, 8, 8, 2))
    assert logits_error(small_net(allow_inequivariant=True, **options), x) > 1e-3


@pytest.mark.usefixtures("unchecked_arrays")
def test_readouts(monkeypatch):
    x = jax.random.normal(jax.random.key(1), (2, 8, 8, 2))
    read_out = models.GSANet._read_out
    monkeypatch.setattr(models.GSANet, "_read_out", lambda self, y: y)
    y = np.asarray(nnx.jit(lambda model, x: model(x))(small_net(), x))  # [batch, 3, 3, group, classes]
    logits = {readout: np.asarray(read_out(small_net(readout=readout), jnp.asarray(y))) for readout in READOUTS}
    for readout, expected in (
        ("max_then_mean", y.max(axis=3).mean(axis=(1, 2))),
        ("mean_then_max", y.mean(axis=(1, 2)).max(axis=1)),
        ("sum_then_max", y.sum(axis=(1, 2)).max(axis=1)),
    ):
        np.testing.assert_allclose(logits[readout], expected, rtol=1e-4, atol=1e-5)


def test_the_published_initialisation():
    model = models.create_model("rotmnist_r4_sa", rngs=nnx.Rngs(0))
    query = model.blocks[2].attention.query
    assert float(jnp.std(query.kernel[...])) == pytest.approx(math.sqrt(2 / 20), rel=0.05)
    out = model.blocks[2].attention.out
    assert float(jnp.std(out.kernel[...])) == pytest.approx(math.sqrt(2 / 90), rel=0.05)
    last = model.lifting.position_encoding.coordinates[0].layers[3]
    assert float(jnp.std(last.kernel[...])) == pytest.approx(math.sqrt(2 / 16), rel=0.25)
    # Normal, not truncated: some values lie beyond two deviations.
    assert float((jnp.abs(query.kernel[...]) > 2.2 * math.sqrt(2 / 20)).mean()) > 0.01
    biases = [x for path, x in nnx.to_flat_state(nnx.state(model, nnx.Param)) if path[-1] == "bias"]
    assert all(float(jnp.abs(bias[...]).max()) == 0.0 for bias in biases)


@pytest.mark.slow
def test_dropout_is_off_in_eval_and_keeps_equivariance_in_expectation():
    group = cyclic_group(4)
    rates = {
        "attention_dropout_rate": 0.3,
        "value_dropout_rate": 0.3,
        "input_dropout_rate": 0.1,
        "pool_dropout_rate": 0.2,
    }
    model = small_net(group, normalize_between=True, **rates)
    x = jax.random.normal(jax.random.key(1), (1, 8, 8, 2))
    turned = jnp.rot90(x, 1, axes=(1, 2))
    run = nnx.jit(lambda model, x: model(x))
    logits = run(model, x)
    np.testing.assert_array_equal(logits, run(model, x))
    np.testing.assert_allclose(logits, run(model, turned), rtol=1e-5, atol=1e-6)
    without = small_net(group, normalize_between=True, **dict.fromkeys(rates, 0.0))
    np.testing.assert_array_equal(logits, run(without, x))

    model.train()
    draws = 500
    run = nnx.jit(functools.partial(_draws, draws=draws))
    plain, moved = run(model, x), run(model, turned)
    noise = jnp.sqrt(plain.var(axis=0) + moved.var(axis=0))
    assert float(noise.min()) > 0.01  # dropout does something
    # The difference of means of independent draws, in units of its own standard error.
    deviation = jnp.abs(plain.mean(axis=0) - moved.mean(axis=0)) / (noise / math.sqrt(draws))
    assert float(deviation.max()) < 4.0


def _draws(model, x, draws):
    # Every sample of a batch is dropped by itself, so a batch of copies is as many draws.
    return model(jnp.broadcast_to(x, (draws, *x.shape[1:])))


FULL_SIZE = [name for name in [*PUBLISHED_COUNTS, "rotmnist_r4m_sa", "rotmnist_r8m_sa"] if "_z2_" not in name]


def full_size_error(name, dtype):
    model = models.create_model(name, rngs=nnx.Rngs(0), param_dtype=dtype)
    model.eval()
    x = jax.random.normal(jax.random.key(1), (2, *model.input_shape), dtype)
    error = logits_error(scaled(model), x)
    print(f"{name} {jnp.dtype(dtype).name}: relative error of the logits {error:.1e}")
    return error


@pytest.mark.full_size
@pytest.mark.parametrize("name", FULL_SIZE)
def test_published_networks_are_exact_with_weights_scaled_three_times(name):
    assert full_size_error(name, jnp.float32) < 1e-5


@pytest.mark.full_size
@pytest.mark.parametrize("name", FULL_SIZE)
def test_published_networks_are_exact_in_64_bits(name, x64):
    assert full_size_error(name, jnp.float64) < 1e-12


@pytest.mark.full_size
def test_the_published_pcam_network_pools_away_its_symmetry():
    x = jax.random.normal(jax.random.key(1), (2, 96, 96, 3))
    errors = {}
    for name, options in (("ours", {}), ("published", {"crops": (0, 2, 1, 1), "allow_inequivariant": True})):
        model = models.create_model("pcam_r4_sa", rngs=nnx.Rngs(0), **options)
        model.eval()
        errors[name] = logits_error(model, x)
        print(f"pcam_r4_sa with the {name} crops: relative error of the logits {errors[name]:.1e}")
    assert errors["ours"] < 1e-5 < 1e-3 < errors["published"]

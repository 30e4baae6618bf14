"""Published attentive convolutions: shared arrays, an independent program of the published formulas, and bad input."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from gequi_jax import functional, interop, nn
from gequi_jax.actions import act_on_feature_map
from gequi_jax.groups import cyclic_group, dihedral_group, group_by_name
from gequi_jax.interop._att_gconvs import published_roll
from gequi_jax.nn import AttentiveGroupConv, AttentiveLiftingConv, GroupConv, LiftingConv
from tests import families, shrunk
from tests.networks import random_network
from tests.reference.attentive_conv import Published

SHARED = Path(__file__).resolve().parents[2] / "../shared"
GOLDENS = sorted((SHARED / "goldens").glob("agc_*.npz"))
LAYERS = [path for path in GOLDENS if "trained" not in path.stem]
CHECKPOINTS = {"agc_trained_p4cnn": "rotmnist_p4_cnn", "agc_trained_f_att_p4cnn": "rotmnist_alpha_f_p4_cnn"}
SOURCE = "att_gconvs"


def channels_last(array):
    """From `[batch, channels, (elements,) rows, columns]`."""
    return jnp.asarray(np.moveaxis(array, 1, -1) if array.ndim == 4 else np.transpose(array, (0, 3, 4, 2, 1)))


def state_of(arrays):
    return {name.removeprefix("state/"): arrays[name] for name in arrays.files if name.startswith("state/")}


def layer_for(name, state, sizes, group):
    """The layer of ours that a published file is about."""
    in_features, out_features, side, strides, padding, dilation, ratio, window, spread = sizes
    lifting = "convrng" in name
    options = {"group": group, "strides": strides, "padding": padding, "kernel_dilation": dilation, "rngs": nnx.Rngs(0)}
    if name.startswith("conv"):
        return (LiftingConv if lifting else GroupConv)(in_features, out_features, side, **options)
    on_input = name.startswith("fatt")
    channel = nn.InputChannelAttention if on_input else nn.ChannelAttention
    spatial = nn.InputSpatialAttention if on_input else nn.SpatialAttention
    operators = []
    if "channel_attention.weight_fc1" in state:
        operators.append(("channel", channel(reduction_ratio=ratio)))
    if "spatial_attention.weight" in state:
        operators.append(("spatial", spatial(kernel_size=window, kernel_dilation=spread)))
    attention = "rh" if name.startswith("rh") else nn.SeriesAttention(tuple(operators))
    constructor = AttentiveLiftingConv if lifting else AttentiveGroupConv
    return constructor(in_features, out_features, side, attention=attention, **options)


@pytest.mark.skipif(not GOLDENS, reason="the shared arrays of the published code are not here")
def test_there_are_arrays_to_check():
    assert len(LAYERS) >= 20


@pytest.mark.parametrize("path", LAYERS, ids=lambda path: path.stem)
def test_shared_layers(path):
    arrays = np.load(path)
    name, state = path.stem.removeprefix("agc_"), state_of(arrays)
    group = group_by_name("p4m" if "_e2" in name else "p4")
    layer = layer_for(name, state, arrays["meta/nin_nout_k_stride_pad_dil_ratio_spk_spdil"].tolist(), group)
    interop.load_pytorch(layer, state, source=SOURCE)
    order = interop.element_order(SOURCE, group)
    x = channels_last(arrays["x"])
    if x.ndim == 5:
        x = x[..., np.argsort(order), :]
    expected = channels_last(arrays["y"])
    got = jax.jit(lambda x: layer(x))(x)[..., order, :]
    assert float(jnp.abs(got - expected).max() / jnp.abs(expected).max()) < 1e-5
    maps = [arrays[key] for key in ("map/channel_attention", "map/spatial_attention") if key in arrays.files]
    if not maps:
        return
    for ours, theirs in zip(layer.attention_maps(x), maps, strict=True):
        if layer.attention.attends_to == "input":
            theirs = theirs if theirs.ndim == 5 else theirs[:, :, None]
            np.testing.assert_allclose(ours, np.transpose(theirs, (0, 3, 4, 2, 1)), atol=1e-5)
        else:
            theirs = theirs if theirs.ndim == 7 else theirs[:, :, :, :, None]
            np.testing.assert_allclose(ours, np.transpose(theirs, (0, 5, 6, 2, 4, 3, 1)), atol=1e-5)


@pytest.mark.slow
@pytest.mark.skipif(not GOLDENS, reason="the shared arrays of the published code are not here")
@pytest.mark.parametrize("stem", list(CHECKPOINTS))
def test_shared_checkpoints_give_their_logits(stem):
    arrays = np.load(SHARED / "goldens" / f"{stem}.npz")
    model = interop.from_pytorch(CHECKPOINTS[stem], state_of(arrays), source=SOURCE)
    logits = jax.jit(lambda x: model(x))(channels_last(arrays["x"]))
    assert float(jnp.abs(logits - arrays["logits"]).max() / jnp.abs(arrays["logits"]).max()) < 1e-4
    first = channels_last(arrays["x"][:1])
    for index in range(2):
        response = model.convs[index](first)
        np.testing.assert_allclose(response, channels_last(arrays[f"act/c{index + 1}"]), atol=1e-4)
        first = nnx.relu(model.norms[index](response))


@pytest.mark.slow
@pytest.mark.skipif(not (SHARED / "data" / "mnist.npz").exists(), reason="MNIST is not here")
@pytest.mark.parametrize(("stem", "published"), [("agc_trained_p4cnn", 97.9), ("agc_trained_f_att_p4cnn", 98.3)])
def test_shared_checkpoints_classify_mnist(stem, published):
    """All 10,000 test digits, each turned by an angle of its own, then transposed as the checkpoints know them."""
    from scipy import ndimage

    arrays = np.load(SHARED / "goldens" / f"{stem}.npz")
    digits = np.load(SHARED / "data" / "mnist.npz")
    angles = np.random.default_rng(0).uniform(0, 360, len(digits["test_labels"]))
    mean, deviation = arrays["norm_mean_std"]
    turned = [
        ndimage.rotate(image / np.float32(255), angle, order=1, reshape=False)
        for image, angle in zip(digits["test_images"], angles, strict=True)
    ]
    x = ((np.stack(turned) - mean) / deviation)[..., None].astype(np.float32)
    model = interop.from_pytorch(CHECKPOINTS[stem], state_of(arrays), source=SOURCE)
    predict = jax.jit(lambda x: model(x).argmax(-1))

    def accuracy(x):
        predicted = np.concatenate([predict(x[start : start + 500]) for start in range(0, len(x), 500)])
        return 100 * (predicted == digits["test_labels"]).mean()

    transposed, upright = accuracy(np.swapaxes(x, 1, 2)), accuracy(x)
    print(f"{stem}: {transposed:.2f} % of transposed digits, {upright:.2f} % of digits as they are")
    assert abs(transposed - published) < 0.3
    assert upright < 60


@pytest.mark.parametrize(
    "group",
    shrunk.slow_unless([families.SHUFFLED_SQUARE], [cyclic_group(4), dihedral_group(4), families.SHUFFLED_SQUARE]),
    ids=families.name,
)
@pytest.mark.parametrize("kind", ["conv", "full", "input", "rh"])
@pytest.mark.parametrize("lifting", [True, False], ids=["lifting", "group"])
def test_the_published_formulas(kind, lifting, group):
    """Factors, the order of elements and the actions on filters, with mirroring too, against a program of its own."""
    mirrored = group.order == 8
    published = Published(mirrored)
    n, random = published.order, np.random.default_rng(0)
    poses = () if lifting else (n,)
    state = {"weight": random.normal(size=(2, 3, *poses, 3, 3))}
    each = (2,) if kind == "full" else ()
    if kind in ("full", "input"):
        state["channel_attention.weight_fc1"] = 0.3 * random.normal(size=(*each, 2, 3, *poses))
        state["channel_attention.weight_fc2"] = 0.3 * random.normal(size=(*each, 3, 2, *poses))
        state["spatial_attention.weight"] = 0.3 * random.normal(size=(*(each or (1,)), 2, *poses, 3, 3))
    elif kind == "rh":
        state["spatial_attention.weight"] = 0.3 * random.normal(size=(1, 3, *poses, 1, 1))
    x = random.normal(size=(2, 3, *poses, 5, 5))

    fc = [state.get(f"channel_attention.weight_fc{i}") for i in (1, 2)]
    signal, factor = x, 1.0 if lifting else published.conv_factor
    if kind in ("input", "rh"):
        alpha = 1.0
        if kind == "input":
            alpha = published.input_channel_map(x, *fc)
            alpha = alpha * published.input_spatial_map(alpha * x, state["spatial_attention.weight"])
        else:
            alpha = published.input_map(x, state["spatial_attention.weight"])
        signal = (1 - alpha) * x
    t = (published.lifted if lifting else published.convolved)(signal, state["weight"])
    if kind == "full":
        factor = 1.0 if lifting else published.attentive_factor
        alpha = published.response_channel_map(t, *fc)
        alpha = alpha * published.response_spatial_map(alpha * t, state["spatial_attention.weight"])
        t = (1 - alpha) * t
    expected = factor * (t.sum(3) if lifting else t.sum((3, 4)))

    options = {"group": group, "rngs": nnx.Rngs(0)}
    if kind == "conv":
        layer = (LiftingConv if lifting else GroupConv)(3, 2, 3, **options)
    else:
        attention = kind
        if kind == "full":
            channel = nn.ChannelAttention(hidden_features=2, pose_action=published_roll)
            attention = nn.SeriesAttention((("channel", channel), ("spatial", nn.SpatialAttention(kernel_size=3))))
        constructor = AttentiveLiftingConv if lifting else AttentiveGroupConv
        layer = constructor(3, 2, 3, attention=attention, hidden_features=2, attention_kernel_size=3, **options)
    interop.load_pytorch(layer, state, source=SOURCE)
    order = interop.element_order(SOURCE, group)
    ours = channels_last(x).astype(jnp.float32)
    if not lifting:
        ours = ours[..., np.argsort(order), :]
    got = jax.jit(lambda x: layer(x))(ours)[..., order, :]
    np.testing.assert_allclose(got, channels_last(expected), atol=1e-5 * np.abs(expected).max())


def test_the_order_of_elements():
    """Rotation k comes k-th; with mirroring, rotation k followed by a reversal of the rows comes (n + k)-th."""
    assert interop.element_order(SOURCE, cyclic_group(4)).tolist() == [0, 1, 2, 3]
    assert interop.element_order(SOURCE, dihedral_group(4)).tolist() == [0, 1, 2, 3, 6, 5, 4, 7]
    image = np.random.default_rng(0).normal(size=(1, 4, 4, 1)).astype(np.float32)
    for v, ours in enumerate(interop.element_order(SOURCE, families.SHUFFLED_SQUARE)):
        turned = np.rot90(image, v % 4, axes=(1, 2))
        expected = turned[:, ::-1] if v >= 4 else turned
        stacked = jnp.asarray(image)[:, :, :, None] * jnp.ones((1, 1, 1, 8, 1))
        got = act_on_feature_map(int(ours), stacked, group=families.SHUFFLED_SQUARE)[..., 0, :]
        np.testing.assert_array_equal(got, expected)
    with pytest.raises(ValueError, match="rotations of the plane by equal angles"):
        interop.element_order(SOURCE, families.QUARTER_TURNS_3D)


def test_the_published_roll_is_the_action_for_rotations_alone():
    assert (published_roll(cyclic_group(4)) == functional.regular_action(cyclic_group(4))).all()
    assert not (published_roll(dihedral_group(4)) == functional.regular_action(dihedral_group(4))).all()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "overrides"),
    [
        ("rotmnist_alpha_p4_cnn", {"features": 2}),
        ("rotmnist_z2_cnn", {"features": 2}),
        ("cifar10_alpha_f_p4m_all_cnn", {"features": 16}),
        ("cifar10_alpha_f_p4m_resnet44", {"features": (2, 3, 4), "blocks_per_stage": 1}),
        ("pcam_alpha_f_p4_densenet", {"features": 2}),
    ],
)
def test_every_array_of_a_network_has_a_place(name, overrides):
    """The names of a whole published network, made up at random: all are used, and none is missing."""
    model = random_network(name, **overrides)
    state = invented_state(model)
    interop.load_pytorch(model, state, source=SOURCE)
    with pytest.raises(ValueError, match=r"c_extra\.weight has no counterpart here"):
        interop.load_pytorch(model, {**state, "c_extra.weight": np.ones(3)}, source=SOURCE)


def invented_state(model):
    """Arrays under published names, found by asking for them until nothing is missing."""
    state = {}
    for _ in range(4):
        try:
            interop.load_pytorch(model, state, source=SOURCE)
        except ValueError as error:
            for problem in str(error).split("not fit this module: ")[1].split("; "):
                problem = problem.split(". Build the module")[0]
                if problem.endswith(" is missing"):
                    state[problem.removesuffix(" is missing")] = np.zeros((0,))
                elif " where " in problem:
                    shape = problem.split(" where ")[1].split(" is needed")[0]
                    state[problem.split(" has shape")[0]] = np.ones(eval(shape))
        else:
            return state
    raise AssertionError("arrays do not settle")


def test_arrays_that_do_not_fit_are_all_named_and_nothing_is_changed():
    layer = AttentiveGroupConv(3, 2, 3, group=cyclic_group(4), attention="input", rngs=nnx.Rngs(0))
    before = nnx.state(layer, nnx.Param)
    state = {
        "weight": np.ones((2, 3, 4, 5, 5)),
        "channel_attention.weight_fc1": np.ones((1, 3, 4)),
        "spatial_attention.weight": np.ones((1, 2, 4, 7, 7)),
        "bias": np.ones(2),
    }
    with pytest.raises(ValueError, match="3 arrays do not fit") as error:
        interop.load_pytorch(layer, state, source=SOURCE)
    for part in ("weight has shape (2, 3, 4, 5, 5)", "weight_fc2 is missing", "bias has no counterpart"):
        assert part in str(error.value)
    for old, new in zip(jax.tree.leaves(before), jax.tree.leaves(nnx.state(layer, nnx.Param)), strict=True):
        np.testing.assert_array_equal(old, new)


def test_what_this_source_does_not_have_is_refused():
    with pytest.raises(ValueError, match="not a network of the source 'att_gconvs'"):
        interop.from_pytorch("rotmnist_r4_sa", {}, source=SOURCE)
    with pytest.raises(ValueError, match="got Linear"):
        interop.load_pytorch(nnx.Linear(2, 2, rngs=nnx.Rngs(0)), {}, source=SOURCE)

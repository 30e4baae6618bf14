"""The pictures of attention: what their captions claim is measured again, with NumPy's turns."""

import json
import re
from functools import partial

import jax
import numpy as np
import pytest
from flax import nnx
from PIL import Image

from experiments import data, runs
from experiments.config import default_config, saved
from experiments.results import summary
from experiments.results.equivariance import transformed
from experiments.trained.attention import capture_gates
from experiments.trained.build import build_model
from experiments.training import checkpoints, parallel
from experiments.training.program import create_program
from experiments.visualize import __main__ as visualize
from experiments.visualize import images as pictured
from experiments.visualize.attention import captions, command, measure
from experiments.visualize.attention.draw import panel
from experiments.visualize.attention.of_files import draw_files
from experiments.visualize.text import number
from gequi_jax import actions, models
from gequi_jax.nn import AttentiveGroupConv

FRAMES = 8
pytestmark = pytest.mark.slow


def grown(params):
    """Weights so large that signals reach every layer, and attention differs between positions."""

    def grow(path, weight):
        name = jax.tree_util.keystr(path)
        if "kernel" not in name:
            return weight
        size = 3 / weight.size**0.5 if "spatial" in name else 2 / (weight.size / weight.shape[-1]) ** 0.5
        return weight / weight.std() * size

    return jax.tree_util.tree_map_with_path(grow, params)


@pytest.fixture(scope="module")
def workdir(tmp_path_factory):
    """A finished run as the training program leaves it, but of random weights."""
    folder = tmp_path_factory.mktemp("run")
    config = default_config()
    config.model_overrides.features, config.normalization = 2, "digits"
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        layout = parallel.create_layout(1, batch_size=config.batch_size, seeded=False)
        _, state = create_program(
            config,
            lambda rngs: build_model(config, rngs),
            normalize=data.NORMALIZATIONS["unit_range"],
            steps_per_epoch=1,
            layout=layout,
        )
        state = state._replace(params=grown(state.params))
        kept = checkpoints.Checkpoints(folder, layout)
        kept.save(1, state, {"input": {}, "seconds": 0.0}, accuracy=0.5)
        kept.close()
    summary.save({"config": saved.as_plain(config), "test_accuracy": 0.5}, folder)
    return folder


@pytest.fixture(scope="module")
def run(workdir):
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        return runs.load_run(str(workdir))


@pytest.fixture(scope="module")
def turned(run):
    """A test image and its quarter turns."""
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        image, _ = pictured.image_of_test_split(run, 3)
    return np.stack([np.rot90(image, turns) for turns in range(4)])


def difference(maps):
    """Of the maps of an image's quarter turns from the turned maps of the image."""
    expected = [np.rot90(maps[0], turns) for turns in range(4)]
    if maps.shape[-1] > 1:
        expected = [np.roll(one_map, turns, axis=-1) for turns, one_map in enumerate(expected)]
    return float(np.abs(maps - np.asarray(expected)).max())


def test_pictures_show_what_is_measured(workdir, run, turned, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(command, "NUM_FRAMES", FRAMES)
    visualize.main([f"--workdir={workdir}", "--index=3", f"--out={tmp_path}"])
    printed = capsys.readouterr().out
    written = json.loads((tmp_path / "attention.json").read_text())
    for name in ("attention", "features", "downsampling"):
        pixels = np.asarray(Image.open(tmp_path / f"{name}.png"))
        assert pixels.shape[1:] == (1200, 3)
        assert pixels.std() > 10
        caption = written["captions"][name]
        assert f"{name}: {caption}" in printed
        texts = re.findall(r"<text[^>]*>([^<]*)</text>", (tmp_path / f"{name}.svg").read_text())
        shown = "".join("".join(texts).split()).replace("&quot;", '"')
        assert "".join(caption.split()) in shown
    with Image.open(tmp_path / "attention.gif") as animation:
        assert animation.n_frames == FRAMES

    capture = capture_gates(run.model, turned, run.normalize)
    lifted, layers = capture.lifted, measure.gate_maps(capture)
    assert [layer.maps.shape[1:] for layer in layers] == [
        (8, 8, 1),
        *[(8, 8, 4)] * 2,
        *[(4, 4, 4)] * 3,
        *[(2, 2, 4)] * 3,
    ]
    assert sum(layer.maps[0].std() > 1e-3 for layer in layers) >= 5
    for layer, numbers in zip(layers, written["layers"], strict=True):
        assert difference(layer.maps) < 1e-5
        assert numbers["largest"] < 1e-5
    assert difference(lifted[..., written["features"]["channel"]]) < 1e-5
    assert written["features"]["largest"] < 1e-5
    assert written["frames"] < 1e-5


def test_the_strided_network_has_the_stated_error(run, turned):
    ways = measure.compare_downsampling(run, measure.Transforms(run.group, range(4), turned))
    stated = {}
    for way, (key, name) in zip(ways, (("pool", "pooled"), ("stride", "strided")), strict=True):
        layers = measure.gate_maps(capture_gates(runs.with_downsampling(run, key), turned, run.normalize))
        stated[name] = difference(layers[3].maps)
        assert way.name == name
        assert way.layer.name == layers[3].name == "layer 4"
        assert layers[3].maps.shape[1:3] == (4, 4)
        (shown,) = (error for error in way.layer_errors if error.name == "layer 4")
        np.testing.assert_allclose([shown.largest, way.errors.max()], stated[name], atol=1e-6)
        assert all(error.largest < 1e-5 for error in way.layer_errors) == (name == "pooled")
    assert stated["pooled"] < 1e-5
    assert stated["strided"] > 0.01
    assert f"strided {number(stated['strided'])} (root mean square" in captions.downsampling(run, ways)


def test_a_restored_network_is_the_saved_one(run, turned):
    other = build_model(run.config, nnx.Rngs(run.config.seed))
    saved = grown(nnx.state(other, nnx.Param))
    jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-6), nnx.state(run.model, nnx.Param), saved)


@pytest.mark.parametrize(
    ("name", "overrides"),
    [
        ("digits_alpha_f_p4m_cnn", {}),
        ("digits_alpha_f_p4_cnn", {"conv": partial(AttentiveGroupConv, attention="full", attention_kernel_size=3)}),
    ],
    ids=["mirrored", "of responses"],
)
def test_maps_turn_in_other_networks(name, overrides):
    model = models.create_model(name, rngs=nnx.Rngs(0), features=2, **overrides)
    nnx.update(model, grown(nnx.state(model, nnx.Param)))
    model.eval()
    group = models.model_info(name).group
    image = np.random.default_rng(0).random((1, 8, 8, 1), np.float32)
    elements = actions.grid_preserving_elements(group)
    images = np.concatenate([transformed(group, element)(image) for element in elements])
    layers = measure.gate_maps(capture_gates(model, images, lambda images: images))
    assert len(layers) == 9
    assert sum(layer.maps[0].std() > 1e-3 for layer in layers) >= 3
    assert all(measure.map_error(layer.name, layer.maps, elements, group).largest < 1e-5 for layer in layers)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--index=360"], "--index: expected 0 to 359, one of the 360 test images of digits; got 360"),
        (["--query=1,1"], "--query: expected a run of a self-attention network; got digits_alpha_f_p4_cnn"),
        (["--index=-1"], "--index: expected 0 to 359"),
        (["--image=nothing.png"], "--image nothing.png: there is no such file"),
        (["--image=text.png"], "--image text.png: cannot be read as png"),
    ],
)
def test_mistakes_are_one_line_and_code_2(arguments, message, run, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(command, "load_run", lambda workdir: run)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text.png").write_text("this is no image")
    with pytest.raises(SystemExit) as stopped:
        visualize.main(arguments)
    assert stopped.value.code == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_an_image_of_any_size_is_cut_to_its_square_and_brought_to_the_network(run, tmp_path):
    pixels = np.zeros((60, 100), np.uint8)
    pixels[:, 20:50] = 255  # the left half of the square in the middle
    Image.fromarray(pixels).save(tmp_path / "halves.png")
    image, name = pictured.file_image(run, tmp_path / "halves.png")
    assert name == "halves.png"
    assert image.shape == (8, 8, 1)
    assert image[:, :3].min() > 0.9
    assert image[:, 5:].max() < 0.1


def test_attention_of_image_files_is_drawn_by_their_names(run, tmp_path):
    for name in ("one", "two"):
        Image.fromarray(np.random.default_rng(len(name)).integers(0, 256, (9, 9), np.uint8)).save(
            tmp_path / f"{name}.png"
        )
    written = draw_files(run, sorted(tmp_path.glob("*.png")), tmp_path / "maps")
    assert [path.name for path in written] == ["one.png", "one.svg", "two.png", "two.svg"]
    assert all(path.stat().st_size > 1000 for path in written)


@pytest.mark.parametrize(
    ("side", "places"), [(8, range(8)), (28, range(0, 28, 3)), (26, range(2, 26, 3)), (64, range(0, 64, 7)), (1, [0])]
)
def test_arrows_stand_where_their_mirror_images_do(side, places):
    positions = panel.symmetric_positions(side)
    np.testing.assert_array_equal(positions, places)
    np.testing.assert_array_equal(positions, side - 1 - positions[::-1])

"""Pictures of self-attention: the maps of a query that moves with the image, captured again and turned by NumPy."""

import json
import pathlib

import jax
import numpy as np
import pytest
from flax import nnx
from PIL import Image

from experiments import data, runs
from experiments.config import default_config
from experiments.trained.attention import capture_inputs
from experiments.visualize import __main__ as visualize
from experiments.visualize.attention import command
from experiments.visualize.attention.measure import queries
from experiments.visualize.attention.measure.self_attention import probability_maps
from gequi_jax import models, nn
from gequi_jax.actions import grid_preserving_elements

pytestmark = pytest.mark.slow
FRAMES = 8
SIDE = 8


def moves(group_order):
    """The elements of C_4 or D_4 on arrays `[rows, columns, ...]`, in the order of the group."""
    turns = [lambda x, k=k: np.rot90(x, k) for k in range(4)]
    return turns if group_order == 4 else [*turns, *(lambda x, k=k: np.rot90(np.fliplr(x), k) for k in range(4))]


def place(position, move, side):
    """Where a move brings a position, found by moving an array that marks it."""
    marked = np.zeros((side, side))
    marked[tuple(position)] = 1
    return tuple(int(index) for index in np.argwhere(move(marked))[0])


def build(name):
    """A network of three layers, the last behind pooling, whose attention differs between positions."""
    model = models.create_model(name, rngs=nnx.Rngs(0), features=8, num_heads=2, crops=(0, 0))
    sharper = jax.tree.map(lambda weight: 1.5 * weight, nnx.state(model, nnx.Param))
    nnx.update(model, sharper)
    model.eval()
    return model


def build_run(name):
    config = default_config()
    config.model, config.normalization = name, "digits"
    preprocessing = data.Preprocessing(sizes=(SIDE, SIDE), channels=1, resize_mode="pad", dtype="uint8")
    labels = data.LabelNames(tuple("0123456789"), data.CLASSES)
    group = models.model_info(name).group
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        return runs.Run(pathlib.Path("run"), config, group, build(name), 0.5, preprocessing, labels)


@pytest.fixture(scope="module")
def run():
    return build_run("digits_r4_sa")


def captured(run, image, query_on):
    """What every layer pays for one image, by the library's own capture; `query_on` gives the query for a side."""
    model = nnx.clone(run.model)
    layers = {"lifting": model.lifting, **{f"block {i + 1}": block.attention for i, block in enumerate(model.blocks)}}
    for layer, side in zip(layers.values(), (8, 8, 4), strict=True):
        layer.set_attributes(query_position=query_on(side), raise_if_not_found=False)
    graph, state = nnx.split(model)
    _, found = jax.jit(lambda x: nnx.capture(nnx.merge(graph, state), nnx.Intermediate)(x))(run.normalize(image[None]))
    sown = [found["lifting"], *(found["blocks"][index]["attention"] for index in range(2))]
    return [np.asarray(layer["attention"].get_value()[0])[0] for layer in sown]


def transformed(found, element, group):
    """p(g^-1 j, g^-1 b; g^-1 h, g^-1 a): positions by NumPy, poses by the table of the group."""
    source = [int(np.flatnonzero(group.cayley_table[element] == h)[0]) for h in range(group.order)]
    for axis in range(2, found.ndim - 1):
        found = found.take(source, axis=axis)
    return moves(group.order)[element](found)


@pytest.fixture(scope="module")
def image():
    return np.random.default_rng(0).random((SIDE, SIDE, 1), np.float32)


@pytest.mark.parametrize(("name", "tried"), [("digits_r4_sa", (1,)), ("digits_r4m_sa", (5,))])
def test_the_map_of_the_moved_query_is_the_moved_map(name, tried, image):
    run = build_run(name)
    group, position = run.group, (2, 6)
    halved = {8: position, 4: (1, 3)}  # (1, 3) covers rows 2 and 3, columns 6 and 7
    elements = grid_preserving_elements(group)
    assert elements == list(range(group.order))
    images = np.stack([move(image) for move in moves(group.order)])
    moving = queries.transformed_query(position, SIDE, group.matrices)
    capture = capture_inputs(run.model, images, run.normalize)
    assert capture.lifted.shape == (group.order, SIDE, SIDE, group.order, 8)
    layers, errors = probability_maps(capture.layers, moving, elements, group)
    assert [layer.name for layer in layers] == ["lifting", "block 1", "block 2"]
    first = captured(run, image, lambda side: halved[side])
    for element in tried:
        move = moves(group.order)[element]
        found = captured(run, images[element], lambda side, move=move: place(halved[side], move, side))
        for layer, paid, upright in zip(layers, found, first, strict=True):
            assert tuple(layer.queries[element]) == place(halved[len(paid)], move, len(paid))
            assert np.abs(paid - transformed(upright, element, group)).max() < 1e-5
            mean = paid.mean(axis=-1) if paid.ndim == 4 else paid.mean(axis=-1).sum(axis=-1).mean(axis=-1)
            np.testing.assert_allclose(layer.maps[element], mean, atol=1e-5)
            np.testing.assert_allclose(mean.sum(axis=(0, 1)), 1.0, atol=1e-5)
            assert np.ptp(mean[mean > 0]) > 0.01
    assert all(error.largest < 1e-5 for error in errors)


def test_a_query_that_does_not_move_gives_an_error(run, image):
    """The control: the maps of a fixed query do not turn, though the network is equivariant."""
    images = np.stack([move(image) for move in moves(run.group.order)])
    still = np.broadcast_to(np.eye(2), (run.group.order, 2, 2))
    capture = capture_inputs(run.model, images, run.normalize)
    elements = grid_preserving_elements(run.group)
    query = queries.transformed_query((2, 6), SIDE, still)
    _, errors = probability_maps(capture.layers, query, elements, run.group)
    assert all(error.largest > 0.05 for error in errors)


def test_a_query_that_turns_in_steps_is_at_exact_quarter_turns():
    for side in (8, 4, 7, 3, 1):
        found = queries.rotating_query((1, 5), SIDE, 36).on(side)
        assert found.min() >= 0
        assert found.max() < side
        for frame in range(36):
            assert tuple(found[frame]) == place(found[frame - 9], np.rot90, side)
    # An eighth of a turn of the offset (-2.5, 1.5) is (-2.83, -0.71).
    assert queries.rotating_query((1, 5), SIDE, 8).on(SIDE)[:2].tolist() == [[1, 5], [1, 3]]


def test_without_a_position_it_is_the_brightest_and_of_several_the_most_central():
    image = np.zeros((8, 8, 3))
    image[0, 0], image[5, 4] = 1, 1
    image[3, 3] = (1, 1, 0.9)
    assert queries.brightest(image) == (5, 4)


def test_pictures_show_what_is_measured(run, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(command, "NUM_FRAMES", FRAMES)
    monkeypatch.setattr(command, "load_run", lambda workdir: run)
    visualize.main(["--index=3", "--query=2,6", f"--out={tmp_path}"])
    printed = capsys.readouterr().out
    written = json.loads((tmp_path / "attention.json").read_text())
    assert sorted(written["captions"]) == ["animation", "attention", "features"]
    assert all(f"{name}: {caption}" in printed for name, caption in written["captions"].items())
    assert "row 2, column 6 of the image" in written["captions"]["attention"]
    assert written["query"] == [2, 6]
    assert all(layer["largest"] < 1e-5 for layer in written["layers"])
    assert written["features"]["largest"] < 1e-4
    assert written["frames"] < 1e-5
    for name in ("attention", "features"):
        pixels = np.asarray(Image.open(tmp_path / f"{name}.png"))
        assert pixels.shape[1:] == (1200, 3)
        assert pixels.std() > 10
    with Image.open(tmp_path / "attention.gif") as animation:
        assert animation.n_frames == FRAMES
    assert not (tmp_path / "downsampling.png").exists()


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("8,0", "--query: expected a position of the image, 0,0 to 7,7; got '8,0'"),
        ("-1,0", "--query: expected a position of the image, 0,0 to 7,7; got '-1,0'"),
        ("3", "--query: expected two integers ROW,COLUMN, such as 3,4; got '3'"),
        ("a,b", "--query: expected two integers"),
        ("1,2,3", "--query: expected two integers"),
    ],
)
def test_mistakes_are_one_line_and_code_2(query, message, run, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(command, "load_run", lambda workdir: run)
    with pytest.raises(SystemExit) as stopped:
        visualize.main([f"--query={query}", f"--out={tmp_path}"])
    assert stopped.value.code == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_layers_are_those_of_the_network(run):
    layers = capture_inputs(run.model, np.zeros((1, 8, 8, 1)), run.normalize).layers
    assert {type(layer.layer) for layer in layers} == {nn.LiftingSelfAttention, nn.GroupSelfAttention}

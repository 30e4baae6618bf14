"""Receptive fields: they are what the layer's softmax sees, and turn with the output pose by NumPy's turns."""

import json
import re

import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from experiments.visualize import __main__ as visualize
from experiments.visualize.receptive_fields import measure as receptive
from experiments.visualize.receptive_fields.layers import UntrainedLayers
from gequi_jax import functional, groups

pytestmark = pytest.mark.slow
POSITION = (3, 4)


def layer_and_input(kind, group):
    model = UntrainedLayers(group, 0)
    image = np.random.default_rng(0).random((1, 8, 8, 1), np.float32)
    return (model.lifting, image) if kind == "lifting" else (model.attention, np.asarray(model.lifting(image)))


def moved(window, k, group):
    """L_k of a field `[b, rows, columns]` of p4m, by NumPy and by products of matrices."""
    x = np.rot90(window if k < 4 else np.flip(window, axis=2), k % 4, axes=(1, 2))
    if len(window) == 1:
        return x
    products = [group.matrices[k].T @ matrix for matrix in group.matrices]  # k^-1 b
    return x[[int(np.abs(group.matrices - product).max(axis=(1, 2)).argmin()) for product in products]]


@pytest.mark.parametrize("kind", ["lifting", "group"])
def test_the_field_of_h_is_that_of_the_identity_moved_by_h(kind):
    group = groups.group_by_name("p4m")
    fields = receptive.receptive_fields(*layer_and_input(kind, group), POSITION)
    assert fields.window.shape == (8, 1 if kind == "lifting" else 8, 7, 7)
    for h in range(group.order):
        expected = moved(fields.window[0], h, group)
        np.testing.assert_allclose(fields.window[h], expected, atol=1e-5)
        assert h == 0 or np.abs(fields.window[h] - fields.window[0]).max() > 1
    assert fields.rotation_error < 1e-5
    assert fields.grid_error < 1e-5


@pytest.mark.parametrize("pose_index", [functional.printed_pose, functional.published_pose])
def test_with_a_published_pose_index_it_is_not(pose_index):
    layer, x = layer_and_input("group", groups.group_by_name("p4m"))
    layer.pose_index = pose_index
    fields = receptive.receptive_fields(layer, x, POSITION)
    assert fields.grid_error > 0.05
    assert fields.rotation_error > 0.05


@pytest.mark.parametrize("kind", ["lifting", "group"])
def test_fields_are_what_the_softmax_sees(kind):
    """Where keys are 0, the probabilities of the layer are the softmax of the field."""
    layer, x = layer_and_input(kind, groups.group_by_name("p4m"))
    layer.key.kernel[...] = jnp.zeros_like(layer.key.kernel[...])
    fields = receptive.receptive_fields(layer, x, POSITION)
    paid = np.asarray(layer.attention_probabilities(x, POSITION))[0, ..., fields.head]
    inside = fields.window[..., :7, :]  # rows 0 to 6 of the image; the window's column 0 is column 1 of the image
    paid = paid[0:7, 1:8]
    if kind == "lifting":
        paid = np.moveaxis(paid, 2, 0)[:, None]
    else:
        paid = np.moveaxis(paid[:, :, :, 0], (2, 3), (0, 1))  # of the query pose that is the identity
    weights = np.exp(inside - inside.max(axis=(1, 2, 3), keepdims=True))
    np.testing.assert_allclose(paid, weights / weights.sum(axis=(1, 2, 3), keepdims=True), atol=1e-5)


def test_an_eighth_of_a_turn_is_evaluated_and_not_interpolated():
    layer, x = layer_and_input("lifting", groups.group_by_name("r8"))
    fields = receptive.receptive_fields(layer, x, POSITION)
    rows, columns = np.mgrid[-3:4, -3:4] / 3
    c = np.sqrt(0.5)
    back = np.stack([c * rows + c * columns, c * columns - c * rows], axis=-1)  # the inverse of a turn by 45 degrees
    query = layer.query(x)[0, 3, 4, fields.head] / np.sqrt(layer.head_features)
    expected = layer.position_encoding(jnp.asarray(back, jnp.float32)) @ query
    np.testing.assert_allclose(fields.window[1, 0], expected, atol=1e-4)
    assert fields.rotation_error < 1e-5
    interpolated = ndimage.rotate(fields.window[0, 0], 45, reshape=False, order=1, mode="nearest")
    error = np.linalg.norm(interpolated - fields.window[1, 0]) / np.linalg.norm(fields.window[1, 0])
    assert error > 0.1


def test_the_picture_shows_what_is_measured(tmp_path, capsys):
    visualize.main(["receptive_fields", "--group=r8", f"--out={tmp_path}"])
    printed = capsys.readouterr().out
    written = json.loads((tmp_path / "receptive_fields.json").read_text())
    assert written["caption"] in printed
    texts = re.findall(r"<text[^>]*>([^<]*)</text>", (tmp_path / "receptive_fields.svg").read_text())
    assert "".join(written["caption"].split()) in "".join("".join(texts).split())
    assert "for the 4 elements that map the grid to itself (the other 4 do not)" in written["caption"]
    for numbers in written["layers"].values():
        assert numbers["rotation_error"] < 1e-5
        assert numbers["grid_error"] < 1e-5
    pixels = np.asarray(Image.open(tmp_path / "receptive_fields.png"))
    assert pixels.shape[1:] == (1200, 3)
    assert pixels.std() > 10

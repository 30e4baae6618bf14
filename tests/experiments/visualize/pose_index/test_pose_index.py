"""The picture of the pose index: its errors measured again with NumPy's turns and products of matrices."""

import functools
import json
import re

import numpy as np
import pytest
from flax import nnx
from PIL import Image

from experiments.visualize import __main__ as visualize
from experiments.visualize.images import upright_digits
from experiments.visualize.pose_index import measure as pose_index
from experiments.visualize.text import number
from gequi_jax import groups, nn

pytestmark = pytest.mark.slow


def moved(maps, k, group):
    """L_k of functions on p4 or p4m, `[n, rows, columns, group, channels]`."""
    mirrored = k >= 4
    x = np.rot90(np.flip(maps, axis=2) if mirrored else maps, k % 4, axes=(1, 2))
    products = [group.matrices[k].T @ matrix for matrix in group.matrices]  # k^-1 h
    return x[..., [int(np.abs(group.matrices - product).max(axis=(1, 2)).argmin()) for product in products], :]


@pytest.fixture(scope="module")
def images():
    return upright_digits(0, 8)


@pytest.mark.parametrize("group_name", pose_index.GROUPS)
def test_errors_are_those_of_numpys_turns(group_name, images):
    """The default index turns to rounding, and the published ones have errors of at least 0.01: the control."""
    group = groups.group_by_name(group_name)
    results = {result.pose_index: result for result in pose_index.measure(group_name, images)}
    assert list(results) == ["default", "printed", "published code"]
    for name, result in results.items():
        layer = pose_index.build(group, pose_index.POSE_INDICES[name], 0)
        upright = np.asarray(layer(images))
        element = group.order - 1  # a quarter turn, of p4m a mirrored one
        turned = moved(images[..., None, :].repeat(group.order, axis=-2), element, group)[..., 0, :]
        expected = moved(upright, element, group)
        error = np.linalg.norm(np.asarray(layer(turned)) - expected) / np.linalg.norm(expected)
        np.testing.assert_allclose(result.errors[element], error, rtol=0.01, atol=1e-6)
        assert result.errors[0] == 0
        np.testing.assert_allclose(result.maps[0], upright[0, ..., result.channel], atol=1e-5)
        if name == "default":
            assert error < 1e-5
            assert np.abs(result.differences).max() < 1e-4
        else:
            assert min(result.errors[1:]) > 0.01
            assert np.abs(result.differences[1:]).max() > 0.1
    assert len({result.channel for result in results.values()}) == 1


def test_layers_differ_in_the_index_alone(images, monkeypatch):
    """Where the pose encoding says nothing, all three are the same layer."""
    group = groups.group_by_name("p4")

    def outputs():
        return [np.asarray(pose_index.build(group, index, 0)(images)) for index in pose_index.POSE_INDICES.values()]

    default, *published = outputs()
    assert all(np.abs(output - default).max() > 0.1 for output in published)
    silent = functools.partial(nn.GroupSelfAttention, pose_init=nnx.initializers.zeros_init())
    monkeypatch.setattr(nn, "GroupSelfAttention", silent)
    default, *published = outputs()
    assert all(np.abs(output - default).max() < 1e-5 for output in published)


def test_the_picture_shows_what_is_measured(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(pose_index, "GROUPS", ("p4",))
    visualize.main(["pose_index", f"--out={tmp_path}"])
    printed = capsys.readouterr().out
    written = json.loads((tmp_path / "pose_index.json").read_text())
    assert written["caption"] in printed
    texts = re.findall(r"<text[^>]*>([^<]*)</text>", (tmp_path / "pose_index.svg").read_text())
    assert "".join(written["caption"].split()) in "".join("".join(texts).split()).replace("&quot;", '"')
    default, *published = written["groups"]["p4"]
    assert default["largest_error"] < 1e-5
    for result in published:
        assert result["largest_error"] > 0.01
        assert f"{result['pose_index']} {number(result['largest_error'])} for p4" in written["caption"]
    pixels = np.asarray(Image.open(tmp_path / "pose_index.png"))
    assert pixels.shape[1:] == (1200, 3)
    assert pixels.std() > 10

"""ONNX graphs in onnxruntime, for every batch. jax2onnx is an extra, and without it these tests are skipped."""

import numpy as np
import pytest
from flax import nnx

from gequi_jax import export, models
from tests import shrunk
from tests.models.test_restrict import logits, relative_error, trained

pytest.importorskip("jax2onnx")
onnxruntime = pytest.importorskip("onnxruntime")


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("side", [8, 9])
def test_unets_of_even_and_odd_sides(side, tmp_path):
    options = {"features": 2, "depth": 1, "input_shape": (side, side, 1)}
    model = models.create_model("unet_p4", rngs=nnx.Rngs(0), **options)
    model.eval()
    export.to_onnx(model, tmp_path / "model.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
    x = np.random.default_rng(0).normal(size=(3, side, side, 1)).astype(np.float32)
    (outputs,) = session.run(None, {session.get_inputs()[0].name: x})
    assert relative_error(outputs, logits(model, x)) < 1e-4


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("name", [*shrunk.REPRESENTATIVES, "rotmnist_p4_cnn"])
def test_one_graph_for_every_batch(name, tmp_path):
    model, path = trained(name), tmp_path / "model.onnx"
    export.to_onnx(model, path)
    session = onnxruntime.InferenceSession(path)
    (argument,) = session.get_inputs()
    for batch in (1, 3, 17):
        x = np.asarray(shrunk.images(name, batch=batch))
        (outputs,) = session.run(None, {argument.name: x})
        assert relative_error(outputs, logits(model, x)) < 1e-4

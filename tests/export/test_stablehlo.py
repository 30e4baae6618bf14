"""Programs in StableHLO: one file for every batch and every platform."""

import pathlib
import subprocess
import sys

import jax
import jax.export
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from gequi_jax import export
from tests import shrunk
from tests.models.test_restrict import logits, relative_error, trained

NAMES = ("rotmnist_p4_cnn", "rotmnist_vit_p4", *shrunk.REPRESENTATIVES)


@pytest.mark.parametrize("name", shrunk.slow_unless(("rotmnist_p4_cnn",), NAMES))
def test_one_program_for_every_batch(name, tmp_path):
    model, path = trained(name), tmp_path / "model.stablehlo"
    export.to_stablehlo(model, path)
    program = jax.export.deserialize(bytearray(path.read_bytes()))
    assert program.platforms == ("cpu", "cuda", "tpu")
    for batch in (1, 3, 17):
        x = shrunk.images(name, batch=batch)
        assert relative_error(program.call(x), logits(model, x)) < 1e-6


@pytest.mark.slow
def test_global_attention_with_a_symbolic_batch(tmp_path):
    name, path = "digits_r4_sa", tmp_path / "model.stablehlo"
    model = shrunk.network(name, window_size=None)
    model.eval()
    export.to_stablehlo(model, path, platforms=["cpu"])
    x = shrunk.images(name, batch=5)
    assert relative_error(jax.export.deserialize(bytearray(path.read_bytes())).call(x), logits(model, x)) < 1e-6


def preprocessing(images):
    return images.astype(jnp.float32) / 255 - 0.5


def test_preprocessing_inside_and_a_loader_without_this_package(tmp_path):
    """The loader of the docstring of `to_stablehlo`, in a process that cannot import this package."""
    model, path = trained("rotmnist_p4_cnn"), tmp_path / "model.stablehlo"
    export.to_stablehlo(model, path, preprocessing=preprocessing, input_dtype=jnp.uint8, platforms=["cpu"])
    images = np.random.default_rng(0).integers(0, 256, (3, 28, 28, 1), np.uint8)
    np.save(tmp_path / "images.npy", images)
    loader = (
        "import sys; sys.modules['gequi_jax'] = sys.modules['flax'] = None\n"
        "import jax.export, numpy, pathlib\n"
        "program = jax.export.deserialize(bytearray(pathlib.Path('model.stablehlo').read_bytes()))\n"
        "numpy.save('logits.npy', program.call(numpy.load('images.npy')))\n"
    )
    subprocess.run([sys.executable, "-c", loader], cwd=tmp_path, check=True, timeout=120)
    expected = logits(model, preprocessing(images))
    assert relative_error(jnp.asarray(np.load(tmp_path / "logits.npy")), expected) < 1e-6


def test_an_export_leaves_the_network_as_it_was(tmp_path):
    model = shrunk.network("rotmnist_p4_cnn")
    export.to_stablehlo(model, tmp_path / "model.stablehlo", platforms=["cpu"])
    assert not model.dropout.deterministic


def test_what_is_missing_is_said_in_one_line(tmp_path, monkeypatch):
    layer = nnx.Linear(2, 3, rngs=nnx.Rngs(0))
    with pytest.raises(ValueError, match="Linear has no attribute input_shape"):
        export.to_stablehlo(layer, tmp_path / "model.stablehlo")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    for function, extra in ((export.to_stablehlo, "export"), (export.to_onnx, "onnx")):
        with pytest.raises(ImportError, match=rf"pip install 'gequi_jax\[{extra}\]'") as error:
            function(layer, pathlib.Path(tmp_path / "model"))
        assert "\n" not in str(error.value)

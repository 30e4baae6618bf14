"""Files of weights: bit for bit there and back, and one line for a file that cannot be used."""

import functools
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import safetensors
import safetensors.numpy
from flax import nnx

from gequi_jax import functional, groups, models, nn
from tests import shrunk


def arrays(model):
    """The parameters and statistics of a network, without random streams."""
    return nnx.split(model, nnx.RngState, ...)[2]


def saved(tmp_path, name="digits_r4_sa", **metadata):
    path = tmp_path / "model.safetensors"
    models.save_weights(shrunk.network(name), path, **metadata)
    return path


@pytest.mark.parametrize("name", shrunk.slow_unless(shrunk.REPRESENTATIVES, models.list_models()))
def test_round_trip_bit_for_bit(name, tmp_path):
    model = shrunk.network(name)
    model.eval()
    models.save_weights(model, tmp_path / "model.safetensors")
    loaded = models.load_model(tmp_path / "model.safetensors")
    assert nnx.graphdef(loaded) == nnx.graphdef(model)
    jax.tree.map(np.testing.assert_array_equal, arrays(loaded), arrays(model))


@pytest.mark.slow
def test_a_loaded_network_computes_and_trains(tmp_path):
    name = "rotmnist_p4_cnn"
    model, loaded = shrunk.network(name), models.load_model(saved(tmp_path, name), rngs=nnx.Rngs(1))
    model.eval()
    x = shrunk.images(name)
    np.testing.assert_array_equal(loaded(x), model(x))
    loaded.train()
    assert np.isfinite(loaded(x)).all()


def test_metadata(tmp_path):
    metadata = {"preprocessing": {"mean": [0.5]}, "classes": ["cat", "dog"], "metrics": {"test_accuracy": 97.5}}
    info = models.weights_info(saved(tmp_path, **metadata))
    assert info.name == "digits_r4_sa"
    assert (dict(info.preprocessing), list(info.classes), dict(info.metrics)) == tuple(metadata.values())


def test_arguments_of_every_kind_survive(tmp_path):
    overrides = {
        **shrunk.overrides("digits_r4_sa"),
        "group": groups.FiniteGroup([np.eye(2), -np.eye(2)], name="half turn"),
        "position_encoding": functools.partial(nn.FourierEncoding, num_frequencies=3),
        "pose_index": functional.relative_pose,
        "kernel_init": nnx.initializers.zeros_init(),
    }
    model = models.create_model(
        "digits_r4_sa", rngs=nnx.Rngs(0), dtype=jnp.bfloat16, param_dtype=jnp.bfloat16, **overrides
    )
    models.save_weights(model, tmp_path / "model.safetensors")
    loaded = models.load_model(tmp_path / "model.safetensors")
    model.eval()
    assert nnx.graphdef(loaded) == nnx.graphdef(model)
    jax.tree.map(np.testing.assert_array_equal, arrays(loaded), arrays(model))


def test_a_network_that_no_file_can_describe_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"expected a network from gequi_jax.models.create_model"):
        models.save_weights(nnx.Linear(1, 1, rngs=nnx.Rngs(0)), tmp_path / "model.safetensors")
    model = shrunk.network("digits_r4_sa", pose_index=lambda group: functional.key_pose(group))
    with pytest.raises(ValueError, match="its argument pose_index cannot be written"):
        models.save_weights(model, tmp_path / "model.safetensors")


def one_line(match, path):
    with pytest.raises(ValueError, match=match) as error:
        models.load_model(path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("kept", [0, 4, 200, -1])
def test_a_truncated_file(kept, tmp_path):
    path = saved(tmp_path)
    path.write_bytes(path.read_bytes()[:kept])
    one_line("no complete safetensors file", path)


def test_an_altered_file(tmp_path):
    path = saved(tmp_path)
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    path.write_bytes(content)
    one_line("was altered", path)


def rewritten(path, **changes):
    """The file with other metadata, whose checksum no longer fits."""
    with safetensors.safe_open(path, framework="numpy") as file:
        metadata = file.metadata() | changes
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (a method of safetensors)
    path.write_bytes(safetensors.numpy.save(tensors, metadata))


def test_files_of_another_version_or_another_program(tmp_path):
    path = saved(tmp_path)
    rewritten(path, metrics=json.dumps({"test_accuracy": 100.0}))
    one_line("was altered", path)
    rewritten(path, format_version="2")
    one_line(r"expected gequi_jax weights of format version 1; .* is format version 2", path)
    path.write_bytes(safetensors.numpy.save({"a": np.zeros(2, np.float32)}))
    one_line("is no file of gequi_jax weights", path)


def test_a_name_in_a_file_runs_no_code(tmp_path):
    path = saved(tmp_path)
    for name in ("nn._conv", "os.system", "nn.jax"):
        rewritten(path, arguments=json.dumps({"conv": {"public": name}}))
        one_line("was altered|no public name", path)


@pytest.mark.parametrize("name", models.list_models(pretrained=True))
def test_pretrained_networks_have_measured_metrics(name):
    model = models.create_model(name, rngs=nnx.Rngs(0), pretrained=True)
    metrics = models.model_info(name).pretrained_metrics
    assert metrics is not None
    assert 50.0 < metrics["test_accuracy"] <= 100.0
    x = jax.ShapeDtypeStruct((1, *models.model_info(name).input_shape), "float32")
    assert jax.eval_shape(lambda model, x: model(x), model, x).shape == (1, models.model_info(name).num_classes)


def test_what_has_no_trained_weights_is_refused():
    with pytest.raises(ValueError, match=r"pretrained: expected one of .* got 'rotmnist_r16m_sa'"):
        models.create_model("rotmnist_r16m_sa", rngs=nnx.Rngs(0), pretrained=True)
    with pytest.raises(ValueError, match="use the arguments that the network was trained with"):
        models.create_model("digits_r4_sa", rngs=nnx.Rngs(0), pretrained=True, num_classes=3)

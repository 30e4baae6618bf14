"""A network small enough to compile in a second, in the place of the library's own."""

import gc
import time
import types

import jax
import pytest
from flax import nnx

from experiments.config import default_config
from experiments.results import classification, pictures
from gequi_jax import groups, models


class TinyNetwork(nnx.Module):
    """A linear map behind batch normalisation and dropout: it has every kind of state that a network has."""

    def __init__(self, *, rngs: nnx.Rngs, features: int = 8, dtype=None):
        if features < 1:
            raise ValueError(f"features must be positive, got {features}")
        self.hidden = nnx.Linear(64, features, dtype=dtype, rngs=rngs)
        self.norm = nnx.BatchNorm(features, dtype=dtype, rngs=rngs)
        self.dropout = nnx.Dropout(0.2, rngs=rngs)
        self.output = nnx.Linear(features, 10, dtype=dtype, rngs=rngs)

    def __call__(self, images: jax.Array) -> jax.Array:
        hidden = self.norm(self.hidden(images.reshape(images.shape[0], -1)))
        return self.output(self.dropout(nnx.relu(hidden)))


@pytest.fixture(autouse=True)
def plain_promotion():
    """Third-party training code (optax, flax.nnx) is written for JAX's standard promotion rules."""
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        yield


@pytest.fixture
def late_answers():
    """Reads and writes of orbax that were under way when one failed end, and are told off, within the test."""
    yield
    time.sleep(0.05)
    gc.collect()


@pytest.fixture
def tiny_model(monkeypatch):
    """Makes `create_model("tiny")` known, with `tiny_z2` beside it."""
    make_tiny_models(monkeypatch.setattr)
    return "tiny"


def make_tiny_models(setattr):
    """Replaces the functions of `gequi_jax.models` by ones that know the tiny network too."""
    sizes = {"input_shape": (8, 8, 1), "num_classes": 10, "output": "invariant", "flops": 1e4}
    sizes |= {"reported_metric": None, "reported_params": None}
    info = {
        "tiny": types.SimpleNamespace(group=groups.cyclic_group(4), **sizes),
        "tiny_z2": types.SimpleNamespace(group=groups.trivial_group(), **sizes),
    }
    real_list, real_create, real_info = models.list_models, models.create_model, models.model_info
    setattr(models, "list_models", lambda: [*real_list(), *info])
    setattr(models, "model_info", lambda name, **more: info[name] if name in info else real_info(name, **more))

    def create(name, *, rngs, **overrides):
        return TinyNetwork(rngs=rngs, **overrides) if name in info else real_create(name, rngs=rngs, **overrides)

    setattr(models, "create_model", create)


@pytest.fixture
def tiny_config(drawing_config, monkeypatch):
    """`drawing_config` with a quick end."""
    quick_results(monkeypatch.setattr)
    return drawing_config


@pytest.fixture
def drawing_config(tiny_model):
    """Three short epochs of the tiny network on the embedded digits."""
    return make_tiny_config(tiny_model)


def quick_results(setattr):
    """Leaves out what takes longer than the training of the tiny network: pictures, and most resamples of intervals."""
    setattr(classification, "RESAMPLES", 1)  # the fewest that there are, 20
    setattr(pictures, "draw_results", lambda *_: None)
    setattr(pictures, "draw_feature_maps", lambda *_: None)


def make_tiny_config(model):
    config = default_config()
    config.model, config.z2_model = model, "tiny_z2"
    config.num_train, config.num_validation, config.num_test = 70, 30, 40
    config.num_epochs, config.warmup_epochs = 3, 1.0
    config.eval_batch_size, config.equivariance_images = 32, 4
    config.log_every_steps = 1
    return config

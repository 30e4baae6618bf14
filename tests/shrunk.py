"""Every network of `list_models()` at its smallest legal size, with all of its dropout switched on."""

import functools
from collections.abc import Iterable

import jax
import numpy as np
import pytest
from flax import nnx

from gequi_jax import models
from tests.networks import random_network

# One network of each architecture, and of attention to responses and to the input.
REPRESENTATIVES = (
    "digits_r4_sa",
    "digits_alpha_f_p4_cnn",
    "rotmnist_alpha_p4_cnn",
    "cifar10_p4m_resnet44",
    "pcam_p4_densenet",
    "unet_p4",
    "vit_tiny_p4m",
    "volume_octahedral_cnn",
)


def slow_unless(quick: Iterable[str], names: Iterable[str]) -> list:
    """The names as parameters of a test; those that are not quick are marked slow, for continuous integration."""
    return [name if name in quick else pytest.param(name, marks=pytest.mark.slow) for name in names]


def every_network(quick: Iterable[str]) -> list:
    """All names as parameters of a test: by default those that are quick, in continuous integration one of each architecture."""
    marks = {
        name: pytest.mark.slow if name in REPRESENTATIVES else pytest.mark.full_size for name in models.list_models()
    }
    return [name if name in quick else pytest.param(name, marks=mark) for name, mark in marks.items()]


def overrides(name: str) -> dict:
    """The arguments that make a network small; its layers and their order stay as published."""
    *spatial, channels = models.model_info(name).input_shape
    if "unet_" in name:
        # Odd sides; tests/models/test_unet.py has the others.
        sides = (3, 3, 3) if name.startswith("volume_") else (5, 5)
        return {"features": 2, "depth": 1, "input_shape": (*sides, channels)}
    if name.startswith("volume_"):
        return _volume(name, channels)
    if name.endswith("_sa"):
        return _gsa_net(name, channels)
    if "vit_" in name:
        return _vision_transformer(name, len(spatial), channels)
    if name.endswith("_densenet"):
        # Five attentive blocks, each with a constructor of its own; plain ones may be fewer.
        attentive = "alpha" in name
        side, size = (80, {}) if attentive else (10, {"num_blocks": 2})
        return {"features": 1, "input_shape": (side, side, channels), **size}
    if name.endswith("_resnet44"):
        return {"features": (2, 2, 2), "blocks_per_stage": 3, "input_shape": (4, 4, channels)}
    if name.endswith("_all_cnn") or name.startswith("digits_"):
        # Channel attention divides the width by up to 16.
        rates = {"input_dropout_rate": 0.1, "dropout_rate": 0.1}
        return {"features": 16 if "alpha" in name else 2, "input_shape": (4, 4, channels), **rates}
    return {"features": 2, "dropout_rate": 0.1}


def _vision_transformer(name: str, dim: int, channels: int) -> dict:
    rates = dict.fromkeys(("attention_dropout_rate", "dropout_rate", "drop_path_rate"), 0.1)
    if name.startswith("rotmnist_"):
        return {"features": 4, "depths": (1, 1), "input_shape": (8, 8, channels), **rates}
    return {"features": 4, "depths": (2,), "patch_size": 2, "input_shape": (*(6,) * dim, channels), **rates}


def _gsa_net(name: str, channels: int) -> dict:
    rates = ("attention_dropout_rate", "value_dropout_rate", "input_dropout_rate", "pool_dropout_rate")
    sizes = {"features": 6, "num_heads": 1, "window_size": 3, **dict.fromkeys(rates, 0.1)}
    side, crops, widths = {
        "digits": (4, (0, 0, 0), None),
        "rotmnist": (6, (1, 0, 0, 0, 0), None),
        "cifar10": (4, (0,) * 6, (6, 6, 7, 7, 7, 7)),
        "pcam": (16, (0,) * 4, (6, 7, 7, 8)),
    }[name.split("_")[0]]
    return {**sizes, "input_shape": (side, side, channels), "crops": crops, "block_features": widths}


def _volume(name: str, channels: int) -> dict:
    if name.endswith("_cnn"):
        size = {"features": (2, 2), "layers_per_stage": (1, 2), "dropout_rate": 0.1}
        return {**size, "input_shape": (8, 8, 8, channels)}
    if name.endswith("_resnet"):
        return {"features": (2, 2), "blocks_per_stage": 2, "input_shape": (4, 4, 4, channels)}
    rates = ("attention_dropout_rate", "value_dropout_rate", "input_dropout_rate", "pool_dropout_rate")
    sizes = {"features": 6, "num_heads": 1, "qkv_features": 6, "input_shape": (12, 12, 12, channels)}
    return {**sizes, **dict.fromkeys(rates, 0.1)}


def network(name: str, **options) -> nnx.Module:
    """The network with random weights, in `train()` mode; options go before its smallest sizes."""
    model = random_network(name, **{**overrides(name), **options})
    model.train()
    return model


def images(name: str, batch: int = 2) -> jax.Array:
    """Noise of the shape that the network takes."""
    shape = overrides(name).get("input_shape", models.model_info(name).input_shape)
    return jax.numpy.asarray(np.random.default_rng(1).normal(size=(batch, *shape)), "float32")


@functools.cache
def split(name: str):
    """The graph, the parameters and all other state of the network."""
    return nnx.split(network(name), nnx.Param, ...)

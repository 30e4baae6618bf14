"""Whole training steps of the rotMNIST networks, beside the same networks in PyTorch where it is installed."""

import pathlib
from collections.abc import Iterator
from typing import Any

import numpy as np

from experiments import data
from experiments.benchmark.cases._case import Case
from experiments.benchmark.programs import STEP, Contender, JaxContender, Program
from experiments.benchmark.torch_process import NETWORKS, TorchContender
from experiments.config import Config
from experiments.config.loading import load_config
from experiments.errors import UserError
from experiments.training.parallel import create_layout
from experiments.training.program import create_program
from gequi_jax import models

QUICK = ("digits_r4_sa", "rotmnist_p4_cnn")
BATCH_SIZES = {  # smaller than in the papers, where attention to the responses of a batch of 128 takes a minute on a CPU
    "rotmnist_alpha_p4_cnn": 16,
    "rotmnist_alpha_ch_p4_cnn": 16,
    "rotmnist_alpha_sp_p4_cnn": 16,
}


def training_step(section: str, quick: bool, torch_python: pathlib.Path | None) -> Iterator[Case]:
    """Forward, backward and optimiser step at the batch size of the published recipe."""
    names = QUICK if quick else [name for name in models.list_models() if name.startswith("rotmnist_")]
    for name in names:
        batch_size: int = 4 if quick else BATCH_SIZES.get(name) or _config(name).batch_size
        contenders: dict[str, Contender] = {"gequi_jax": JaxContender(lambda n=name, b=batch_size: step_program(n, b))}
        if torch_python is not None and name in NETWORKS:
            contenders["PyTorch"] = TorchContender(torch_python, name, batch_size)
        yield Case(section, dict(model=name, batch=batch_size), (), contenders, passes=(STEP,))


def _config(name: str) -> Config:
    try:
        return load_config(name)
    except UserError:
        config = load_config("default")  # small models, networks for volumes and other groups have no row of their own
        config.augmentation = ()
        return config


def step_program(name: str, batch_size: int, **overrides: Any) -> Program:
    """A training step of a network on random images.

    Args:
      name: a name of `gequi_jax.models.list_models()`.
      batch_size: the number of images.
      **overrides: arguments of the network.
    """
    config = _config(name)
    config.model_overrides = {**config.model_overrides, **overrides}
    config.model, config.batch_size = name, batch_size
    config.num_devices = config.num_seeds = 1
    layout = create_layout(1, batch_size=batch_size, seeded=False)
    program, state = create_program(
        config,
        lambda rngs: models.create_model(name, rngs=rngs, **config.model_overrides),
        normalize=data.NORMALIZATIONS["unit_range"],
        steps_per_epoch=100,
        layout=layout,
    )
    info = models.model_info(name)
    input_shape = config.model_overrides.get("input_shape", info.input_shape)
    random = np.random.default_rng(0)
    batch = {
        "image": random.integers(0, 256, (batch_size, *input_shape)).astype(np.uint8),
        "label": random.integers(0, info.num_classes, batch_size).astype(np.int32),
    }
    return Program(program.train_step, (state, layout.place(batch)))

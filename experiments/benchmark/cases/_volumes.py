"""Group convolutions of volumes beside plain ones, and training steps of the networks for volumes."""

from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from experiments.benchmark.cases._case import Case
from experiments.benchmark.cases._training_step import step_program
from experiments.benchmark.programs import STEP, JaxContender, Program, layer_program
from gequi_jax import actions, groups, models, nn

CHANNELS = 48  # of all poses together
GROUPS = {8: "p4m", 24: "octahedral", 48: "full_octahedral"}
BATCH_SIZE = 32


def convolution_of_volumes(section: str, quick: bool) -> Iterator[Case]:
    """Group convolution of equally many channels for every group, and `nnx.Conv` with the same filter bank."""
    for n in (8,) if quick else GROUPS:
        for N in (6,) if quick else (7, 14):
            setting = dict(n=n, N=N, w=3, batch=2 if quick else BATCH_SIZE)
            contenders = {
                "gequi_jax": JaxContender(lambda s=setting: layer_program(_layer(s), _input(s))),
                "nnx.Conv": JaxContender(lambda s=setting: _plain(s)),
            }
            yield Case(section, setting, (), contenders)


def training_step_on_volumes(section: str, quick: bool) -> Iterator[Case]:
    """Forward, backward and optimiser step on volumes of 28x28x28."""
    names = [name for name in models.list_models() if name.startswith("volume_")]
    names = [name for name in names if "unet" not in name and "_alpha_f_z2" not in name]
    for name in ["volume_p4m_cnn"] if quick else names:
        batch_size = 2 if quick else BATCH_SIZE
        setting = dict(model=name, n=models.model_info(name).group.order, batch=batch_size)
        contenders = {"gequi_jax": JaxContender(lambda n=name, b=batch_size: step_program(n, b))}
        yield Case(section, setting, (), contenders, passes=(STEP,))


def _layer(setting: dict[str, Any]) -> nn.GroupConv:
    features = CHANNELS // setting["n"]
    group = groups.group_by_name(GROUPS[setting["n"]], dim=3)
    return nn.GroupConv(features, features, setting["w"], group=group, rngs=nnx.Rngs(0))


def _input(setting: dict[str, Any]) -> jax.Array:
    n, N = setting["n"], setting["N"]
    return jax.random.normal(jax.random.key(1), (setting["batch"], N, N, N, n, CHANNELS // n))


def _plain(setting: dict[str, Any]) -> Program:
    layer, x = _layer(setting), _input(setting)
    bank = jnp.moveaxis(actions.transform_group_kernel(layer.kernel[...], group=layer.group), 0, -2)
    plain = nnx.Conv(CHANNELS, CHANNELS, layer.kernel_shape, rngs=nnx.Rngs(0))
    plain.kernel[...] = bank.reshape(plain.kernel.shape)
    return layer_program(plain, x.reshape(*x.shape[:-2], CHANNELS))

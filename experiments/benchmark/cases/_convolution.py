"""Group convolutions beside a plain convolution of the same size, and attentive ones beside the group convolution."""

from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from experiments.benchmark.cases._case import Case, sweep
from experiments.benchmark.programs import JaxContender, Program, layer_program
from gequi_jax import actions, groups, nn

FEATURES = 10
ATTENTION = {"full": "full", "input": "input", "group convolution": None}


def group_convolution(section: str, quick: bool) -> Iterator[Case]:
    """Group convolution, and `nnx.Conv` with the same filter bank, expanded once."""
    base = dict(n=4, N=8 if quick else 28, w=3, batch=2 if quick else 16)
    for setting, variables in sweep(base, dict(n=(2, 4) if quick else (4, 8, 16))):
        contenders = {
            "gequi_jax": JaxContender(lambda s=setting: layer_program(_group_conv(s), _input(s))),
            "nnx.Conv": JaxContender(lambda s=setting: _plain_conv(s)),
        }
        yield Case(section, setting, variables, contenders)


def attentive_convolution(section: str, quick: bool) -> Iterator[Case]:
    """Attentive group convolutions, and the group convolution without attention."""
    base = dict(n=4, N=8 if quick else 28, w=3, batch=1 if quick else 8)
    for setting, variables in sweep(base, dict(n=(2, 4) if quick else (4, 8))):
        contenders = {
            name: JaxContender(lambda s=setting, a=attention: layer_program(_layer(s, a), _input(s)))
            for name, attention in ATTENTION.items()
        }
        yield Case(section, setting, variables, contenders)


def _layer(setting: dict[str, Any], attention: str | None) -> nnx.Module:
    if attention is None:
        return _group_conv(setting)
    group = groups.cyclic_group(setting["n"])
    layer: Any = nn.AttentiveGroupConv
    return layer(FEATURES, FEATURES, setting["w"], group=group, attention=attention, rngs=nnx.Rngs(0))


def _group_conv(setting: dict[str, Any]) -> nn.GroupConv:
    return nn.GroupConv(FEATURES, FEATURES, setting["w"], group=groups.cyclic_group(setting["n"]), rngs=nnx.Rngs(0))


def _plain_conv(setting: dict[str, Any]) -> Program:
    layer, x = _group_conv(setting), _input(setting)
    bank = jnp.moveaxis(actions.transform_group_kernel(layer.kernel[...], group=layer.group), 0, -2)
    channels = setting["n"] * FEATURES
    plain = nnx.Conv(channels, channels, (setting["w"], setting["w"]), rngs=nnx.Rngs(0))
    plain.kernel[...] = bank.reshape(plain.kernel.shape)
    return layer_program(plain, x.reshape(*x.shape[:-2], channels))


def _input(setting: dict[str, Any]) -> jax.Array:
    n, N = setting["n"], setting["N"]
    return jax.random.normal(jax.random.key(1), (setting["batch"], N, N, n, FEATURES))

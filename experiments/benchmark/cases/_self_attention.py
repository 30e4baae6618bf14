"""Self-attention layers: the default implementation and the naive form, which materialises all scores."""

from collections.abc import Iterator
from typing import Any

import jax
from flax import nnx

from experiments.benchmark.cases._case import Case, sweep
from experiments.benchmark.programs import JaxContender, Program, layer_program
from gequi_jax import groups, nn

FEATURES = 20
CONTENDERS = {"gequi_jax": "auto", "naive form": "reference"}


def group_self_attention(section: str, quick: bool) -> Iterator[Case]:
    """Group self-attention in windows."""
    if quick:
        settings = sweep(dict(n=4, N=8, w=3, heads=2, batch=1), dict(n=(2, 4, 8), N=(8, 12)))
    else:
        settings = sweep(
            dict(n=4, N=28, w=5, heads=9, batch=2),
            dict(n=(2, 4, 8, 16), N=(14, 28, 56), w=(3, 5, 7, 9), heads=(1, 3, 9), batch=(1, 2, 4, 8)),
            n=dict(batch=1),  # the naive form of the largest group has to fit in memory
        )
    return _cases(section, settings, nn.GroupSelfAttention)


def lifting_self_attention(section: str, quick: bool) -> Iterator[Case]:
    """Lifting self-attention in windows."""
    base = dict(n=4, N=8 if quick else 28, w=5, heads=9, batch=2 if quick else 8)
    return _cases(section, sweep(base, dict(n=(2, 4) if quick else (4, 8, 16))), nn.LiftingSelfAttention)


def global_self_attention(section: str, quick: bool) -> Iterator[Case]:
    """Group self-attention of every position to all others."""
    base = dict(n=4, N=6, w=None, heads=2 if quick else 9, batch=1)
    return _cases(section, sweep(base, dict(N=(4, 6) if quick else (7, 14, 28))), nn.GroupSelfAttention)


def _cases(section: str, settings: Iterator[tuple[dict[str, Any], tuple[str, ...]]], layer: type) -> Iterator[Case]:
    for setting, variables in settings:
        contenders = {name: _contender(layer, setting, form) for name, form in CONTENDERS.items()}
        yield Case(section, setting, variables, contenders)


def _contender(layer: type, setting: dict[str, Any], implementation: str) -> JaxContender:
    lifting = layer is nn.LiftingSelfAttention
    n, N = setting["n"], setting["N"]

    def make() -> Program:
        module = layer(
            1 if lifting else FEATURES,
            FEATURES,
            group=groups.cyclic_group(n),
            num_heads=setting["heads"],
            qkv_features=setting["heads"] * (FEATURES // 2),
            window_size=setting["w"],
            implementation=implementation,
            rngs=nnx.Rngs(0),
        )
        shape = (setting["batch"], N, N, 1) if lifting else (setting["batch"], N, N, n, FEATURES)
        return layer_program(module, jax.random.normal(jax.random.key(1), shape))

    return JaxContender(make)

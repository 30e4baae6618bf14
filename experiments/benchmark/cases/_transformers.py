"""Equivariant transformers beside plain ones of as many numbers for each position, and their parts beside others."""

from collections.abc import Iterator
from typing import Any

import jax
from flax import nnx

from experiments.benchmark.cases._case import Case, sweep
from experiments.benchmark.cases._training_step import step_program
from experiments.benchmark.programs import STEP, JaxContender, Program, layer_program
from gequi_jax import groups, nn

FEATURES = 20
TOKENS, NUMBERS = 4096, 768


def transformers(section: str, quick: bool) -> Iterator[Case]:
    """Attention by frames and group self-attention, linear maps, and training steps of vision transformers."""
    yield from _attention(section, quick)
    yield from _linear(section, quick)
    yield from _training_steps(section, quick)


def _attention(section: str, quick: bool) -> Iterator[Case]:
    """Both kinds of attention at equal features, in windows."""
    base = dict(layer="attention", n=4, N=8 if quick else 28, w=3 if quick else 5, heads=2 if quick else 9, batch=2)
    for setting, variables in sweep(base, dict(n=(2, 4) if quick else (4, 8))):
        contenders = {
            name: JaxContender(lambda s=setting, layer=layer: _attention_program(layer, s))
            for name, layer in (("frames", nn.FrameSelfAttention), ("all poses", nn.GroupSelfAttention))
        }
        yield Case(section, setting, variables, contenders)


def _attention_program(layer: Any, setting: dict[str, Any]) -> Program:
    n, N = setting["n"], setting["N"]
    module = layer(
        FEATURES,
        FEATURES,
        group=groups.cyclic_group(n),
        num_heads=setting["heads"],
        qkv_features=setting["heads"] * (FEATURES // 2),
        window_size=setting["w"],
        rngs=nnx.Rngs(0),
    )
    return layer_program(module, jax.random.normal(jax.random.key(1), (setting["batch"], N, N, n, FEATURES)))


def _linear(section: str, quick: bool) -> Iterator[Case]:
    """Equivariant linear maps, and `nnx.Linear` of the same numbers."""
    tokens = 64 if quick else TOKENS
    for name in ("p4m",) if quick else ("p4", "p4m", "octahedral"):
        group = groups.octahedral_group() if name == "octahedral" else groups.group_by_name(name)
        features = NUMBERS // group.order
        contenders = {
            "GroupLinear": JaxContender(
                lambda g=group, c=features: layer_program(
                    nn.GroupLinear(c, c, group=g, rngs=nnx.Rngs(0)),
                    jax.random.normal(jax.random.key(1), (tokens, g.order, c)),
                )
            ),
            "nnx.Linear": JaxContender(
                lambda: layer_program(
                    nnx.Linear(NUMBERS, NUMBERS, rngs=nnx.Rngs(0)),
                    jax.random.normal(jax.random.key(1), (tokens, NUMBERS)),
                )
            ),
        }
        yield Case(section, dict(layer="linear", group=name, tokens=tokens), (), contenders)


def _training_steps(section: str, quick: bool) -> Iterator[Case]:
    """A training step of vision transformers of one size with and without a group."""
    size, side, batch_size = ("tiny", 32, 2) if quick else ("small", 224, 8)
    overrides = {"input_shape": (side, side, 3), "depths": (2,)} if quick else {}
    contenders = {
        f"vit_{size}_{group}": JaxContender(lambda g=group: step_program(f"vit_{size}_{g}", batch_size, **overrides))
        for group in ("p4m", "z2")
    }
    yield Case(section, dict(layer=f"vit_{size}", side=side, batch=batch_size), (), contenders, passes=(STEP,))

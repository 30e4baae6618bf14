"""What the benchmark compares: layers and whole training steps, each with its contenders."""

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from experiments.config.loading import load_config
from experiments.errors import UserError
from experiments.training.parallel import create_layout
from experiments.training.program import create_program
from gequi_jax import actions, groups, models, nn

# A function and its arguments; the first argument is the one that training steps replace by their result.
Program = tuple[Callable[..., Any], tuple[Any, ...]]


@dataclasses.dataclass(frozen=True)
class Case:
    """One setting, in which all contenders do the same work.

    Attributes:
      section: what is compared.
      setting: the sizes.
      variable: the size that a series of cases varies, or "" for a single case.
      contenders: makers of programs by name; ratios are taken to the first.
      is_step: a training step is one program; a layer is run forward, and forward with backward.
    """

    section: str
    setting: dict[str, Any]
    variable: str
    contenders: dict[str, Callable[[], Program]]
    is_step: bool = False


def sections(quick: bool) -> dict[str, Callable[[], Iterator[Case]]]:
    """The makers of cases by the name of their section."""
    return {
        "group self-attention": lambda: _group_self_attention(quick),
        "lifting self-attention": lambda: _lifting_self_attention(quick),
        "global self-attention": lambda: _global_self_attention(quick),
        "group convolution": lambda: _group_convolution(quick),
        "attentive convolution": lambda: _attentive_convolution(quick),
        "training step": lambda: _training_steps(quick),
    }


def layer_program(layer: nnx.Module, x: jax.Array) -> Program:
    """A layer in evaluation mode as a function of its parameters and its input."""
    layer.eval()
    graph, params, rest = nnx.split(layer, nnx.Param, ...)
    return lambda params, x: nnx.merge(graph, params, rest)(x), (params, x)


def with_backward(function: Callable[..., jax.Array]) -> Callable[..., Any]:
    """The gradient of a sum of squares, in the parameters and in the input."""
    return jax.grad(lambda params, x: jnp.square(function(params, x)).sum(), argnums=(0, 1))


def _series(base: dict[str, Any], sweeps: dict[str, tuple[Any, ...]]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Settings that vary one size at a time."""
    for variable, values in sweeps.items():
        for value in values:
            yield variable, {**base, variable: value}


def _group_self_attention(quick: bool) -> Iterator[Case]:
    base = dict(n=4, N=28, w=5, heads=9, batch=2)
    sweeps = dict(n=(2, 4, 8, 16), N=(14, 28, 56), w=(3, 5, 7, 9), heads=(1, 3, 9), batch=(1, 2, 4, 8))
    if quick:
        base, sweeps = dict(n=4, N=8, w=3, heads=2, batch=1), dict(n=(2, 4, 8), N=(8, 12))
    for variable, setting in _series(base, sweeps):
        # The largest groups with the smallest batch: the naive form has to fit.
        setting = {**setting, "batch": 1} if variable == "n" else setting
        yield _self_attention_case("group self-attention", setting, variable, nn.GroupSelfAttention)


def _lifting_self_attention(quick: bool) -> Iterator[Case]:
    base = dict(n=4, N=8 if quick else 28, w=5, heads=9, batch=2 if quick else 8)
    for variable, setting in _series(base, dict(n=(2, 4) if quick else (4, 8, 16))):
        yield _self_attention_case("lifting self-attention", setting, variable, nn.LiftingSelfAttention)


def _global_self_attention(quick: bool) -> Iterator[Case]:
    base = dict(n=4, N=6, w=None, heads=2 if quick else 9, batch=1)
    for variable, setting in _series(base, dict(N=(4, 6) if quick else (7, 14, 28))):
        yield _self_attention_case("global self-attention", setting, variable, nn.GroupSelfAttention)


def _self_attention_case(section: str, setting: dict[str, Any], variable: str, layer: type) -> Case:
    n, N, features = setting["n"], setting["N"], 20
    lifting = layer is nn.LiftingSelfAttention

    def contender(implementation: str) -> Callable[[], Program]:
        def make() -> Program:
            module = layer(
                1 if lifting else features,
                features,
                group=groups.cyclic_group(n),
                num_heads=setting["heads"],
                qkv_features=features // 2,
                window_size=setting["w"],
                implementation=implementation,
                rngs=nnx.Rngs(0),
            )
            shape = (setting["batch"], N, N, 1) if lifting else (setting["batch"], N, N, n, features)
            return layer_program(module, jax.random.normal(jax.random.key(1), shape))

        return make

    contenders = {"gequi_jax": contender("auto"), "naive form": contender("reference")}
    return Case(section, setting, variable, contenders)


def _group_convolution(quick: bool) -> Iterator[Case]:
    base = dict(n=4, N=8 if quick else 28, w=3, batch=2 if quick else 16)
    for variable, setting in _series(base, dict(n=(2, 4) if quick else (4, 8, 16))):
        n, N, w, features = setting["n"], setting["N"], setting["w"], 10
        shape = (setting["batch"], N, N, n, features)

        def group_conv(n=n, w=w, shape=shape, features=features) -> Program:
            layer = nn.GroupConv(features, features, w, group=groups.cyclic_group(n), rngs=nnx.Rngs(0))
            return layer_program(layer, jax.random.normal(jax.random.key(1), shape))

        def plain_conv(n=n, w=w, shape=shape, features=features) -> Program:
            # The same filter bank, expanded once: an ordinary convolution between n * features channels.
            group = groups.cyclic_group(n)
            kernel = nn.GroupConv(features, features, w, group=group, rngs=nnx.Rngs(0)).kernel[...]
            bank = jnp.moveaxis(actions.transform_group_kernel(kernel, group=group), 0, -2)
            layer = nnx.Conv(n * features, n * features, (w, w), rngs=nnx.Rngs(0))
            layer.kernel[...] = bank.reshape(layer.kernel.shape)
            return layer_program(layer, jax.random.normal(jax.random.key(1), shape).reshape(*shape[:-2], -1))

        yield Case("group convolution", setting, variable, {"gequi_jax": group_conv, "nnx.Conv": plain_conv})


def _attentive_convolution(quick: bool) -> Iterator[Case]:
    base = dict(n=4, N=8 if quick else 28, w=3, batch=1 if quick else 8)
    for variable, setting in _series(base, dict(n=(2, 4) if quick else (4, 8))):
        n, N, w, features = setting["n"], setting["N"], setting["w"], 10
        shape = (setting["batch"], N, N, n, features)

        def attentive(attention, n=n, w=w, shape=shape, features=features) -> Program:
            options = dict(group=groups.cyclic_group(n), rngs=nnx.Rngs(0))
            if attention is None:
                layer = nn.GroupConv(features, features, w, **options)
            else:
                layer = nn.AttentiveGroupConv(features, features, w, attention=attention, **options)
            return layer_program(layer, jax.random.normal(jax.random.key(1), shape))

        contenders = {name: lambda name=name, make=attentive: make(name) for name in ("full", "input")}
        contenders["group convolution"] = lambda make=attentive: make(None)
        yield Case("attentive convolution", setting, variable, contenders)


def _training_steps(quick: bool) -> Iterator[Case]:
    names = ["digits_r4_sa"] if quick else [name for name in models.list_models() if name.startswith("rotmnist_")]
    for name in names:
        batch = 4 if quick else 8
        yield Case("training step", dict(model=name, batch=batch), "", {"gequi_jax": _step(name, batch)}, is_step=True)


def _step(name: str, batch_size: int) -> Callable[[], Program]:
    def make() -> Program:
        try:
            config = load_config(name)
        except UserError:
            config = load_config("default")  # the small models and new groups have no file of their own
        config.model, config.batch_size = name, batch_size
        config.num_devices = config.num_seeds = 1
        layout = create_layout(1, batch_size=batch_size, seeded=False)
        program, state = create_program(
            config,
            lambda rngs: models.create_model(name, rngs=rngs, **config.model_overrides),
            steps_per_epoch=100,
            layout=layout,
        )
        info = models.model_info(name)
        random = np.random.default_rng(0)
        batch = {
            "image": random.integers(0, 256, (batch_size, *info.input_shape)).astype(np.uint8),
            "label": random.integers(0, info.num_classes, batch_size).astype(np.int32),
        }
        return program.train_step, (state, layout.place(batch))

    return make

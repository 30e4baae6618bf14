"""Training steps of U-Nets for segmentation: the group's, beside the one of the trivial group with as many parameters."""

from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from experiments.benchmark.cases._case import Case
from experiments.benchmark.programs import STEP, JaxContender, Program
from gequi_jax import models

LEARNING_RATE = 1e-2
# Channels for each pose.
FEATURES = {"p4m": 8, "z2": 23}


def segmentation_step(section: str, quick: bool) -> Iterator[Case]:
    """Forward, backward and a step of gradient descent on the cross-entropy of every pixel."""
    setting = dict(side=16, depth=1, batch=1) if quick else dict(side=256, depth=4, batch=4)
    contenders = {name: JaxContender(lambda n=name: _step(n, **setting)) for name in FEATURES}
    yield Case(section, setting, (), contenders, passes=(STEP,))


def _step(group: str, *, side: int, depth: int, batch: int) -> Program:
    model = models.create_model(
        f"unet_{group}", rngs=nnx.Rngs(0), features=FEATURES[group], depth=depth, input_shape=(side, side, 1)
    )
    model.train()
    graph, params, other = nnx.split(model, nnx.Param, ...)
    images = jax.random.normal(jax.random.key(0), (batch, side, side, 1))
    classes = (images[..., 0] > 0).astype(jnp.int32)

    def step(state: Any, images: jax.Array, classes: jax.Array) -> tuple[Any, jax.Array]:
        params, other = state

        def loss(params: Any) -> tuple[jax.Array, Any]:
            model: Any = nnx.merge(graph, params, other, copy=True)
            scores = jax.nn.log_softmax(model(images))
            value = -jnp.take_along_axis(scores, classes[..., None], axis=-1).mean()
            return value, nnx.state(model, nnx.Not(nnx.Param))

        (value, other), gradients = jax.value_and_grad(loss, has_aux=True)(params)
        return (jax.tree.map(lambda p, g: p - LEARNING_RATE * g, params, gradients), other), value

    return Program(jax.jit(step, donate_argnums=0), ((params, other), images, classes))

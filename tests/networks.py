"""Networks without arrays, or with weights from NumPy: tracing and initialising them takes longer than most tests."""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

from gequi_jax import models


def outline(name: str) -> nnx.Module:
    """A network by its name without its arrays: constructed and checked, not initialised."""
    return nnx.merge(*_split_outline(name))


@functools.cache
def _split_outline(name: str):
    return nnx.split(nnx.eval_shape(lambda: models.create_model(name, rngs=nnx.Rngs(0))))


def random_network(name: str, *, gain: float = 1.0, seed: int = 0, **overrides) -> nnx.Module:
    """A network by its name with the weights of `random_weights`."""
    return random_weights(lambda: models.create_model(name, rngs=nnx.Rngs(0), **overrides), gain=gain, seed=seed)


def random_weights(build: Callable[[], nnx.Module], *, gain: float = 1.0, seed: int = 0) -> nnx.Module:
    """A module with normal filters of deviation `gain / sqrt(fan)`, scales `gain`, variances 1, and all else 0.

    Attention to responses and inputs has a tenth of that, as where it starts.
    """
    outline = nnx.eval_shape(build)
    random = np.random.default_rng(seed)

    def value(path, leaf):
        if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
            return jax.random.key(seed)
        last = str(path[-2] if str(path[-1]) == ".value" else path[-1])
        if len(leaf.shape) > 1:
            fan = np.prod(leaf.shape[:-1])
            start = 0.1 if any("attention_params" in str(key) for key in path) else 1.0
            return jnp.asarray(start * gain / np.sqrt(fan) * random.normal(size=leaf.shape), leaf.dtype)
        ones = any(word in last for word in ("scale", "var"))
        return jnp.full(leaf.shape, (gain if "scale" in last else 1.0) if ones else 0, leaf.dtype)

    graph, state = nnx.split(outline)
    return nnx.merge(graph, jax.tree_util.tree_map_with_path(value, state))


def train(model: nnx.Module, transform: optax.GradientTransformation, x: jax.Array, labels: jax.Array, *, steps: int):
    """Steps on the cross-entropy of one batch, and their losses. Optimisers need JAX's standard promotion of types."""
    optimizer = nnx.Optimizer(model, transform, wrt=nnx.Param)
    model.train()

    @nnx.jit
    def step(model, optimizer):
        def loss(model):
            return optax.softmax_cross_entropy_with_integer_labels(model(x), labels).mean()

        value, gradients = nnx.value_and_grad(loss)(model)
        optimizer.update(model, gradients)
        return value

    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        return [float(step(model, optimizer)) for _ in range(steps)]

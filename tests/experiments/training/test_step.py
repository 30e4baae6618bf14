"""Training steps as functions: the types of the state, and those of the computation."""

import functools

import jax
import numpy as np
import pytest

from experiments.config.loading import load_config
from experiments.trained.build import build_model, compute_dtype, image_shape
from experiments.training.parallel import create_layout
from experiments.training.program import create_program

NETWORKS = ["digits:alpha_f_p4_cnn", "rotmnist:r4_sa", "cifar10:p4m_resnet44", "pcam:p4_densenet"]


def program_of(config):
    build = functools.partial(build_model, config, dtype=compute_dtype(config))
    layout = create_layout(1, batch_size=2, seeded=False)
    return create_program(config, build, steps_per_epoch=2, layout=layout)


def batch_like(config):
    return {
        "image": jax.ShapeDtypeStruct((2, *image_shape(config)), np.uint8),
        "label": jax.ShapeDtypeStruct((2,), np.int32),
    }


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow) if name != NETWORKS[0] else name for name in NETWORKS]
)
def test_a_step_keeps_the_types_of_the_state_and_computes_in_the_precision(name, precision):
    config = load_config(name)
    config.precision, config.num_seeds = precision, 1

    def step(batch):
        program, state = program_of(config)
        return state, program.train_step(state, batch)

    types = lambda tree: [(leaf.shape, leaf.dtype) for leaf in jax.tree.leaves(tree)]  # noqa: E731
    before, (after, metrics) = jax.eval_shape(step, batch_like(config))
    assert types(before) == types(after)
    assert {leaf.dtype for leaf in jax.tree.leaves(after.params)} == {np.dtype(np.float32)}
    assert metrics["loss"].dtype == np.float32
    text = str(jax.make_jaxpr(step)(batch_like(config)))
    assert ("bf16" in text) == (precision == "bfloat16")

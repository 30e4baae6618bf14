"""Every network of the registry passes the audit at its own size: three times its weights, and after twenty steps.

`python -m pytest -m full_size tests/testing/test_audit_models.py -s` prints the largest error of any layer of each network.
"""

import functools

import jax
import numpy as np
import pytest
from flax import nnx

from experiments import data
from experiments.config import default_config
from experiments.config.loading import load_config
from experiments.config.validation import validate
from experiments.trained.build import build_model, load_data
from experiments.trained.weights import put_weights
from experiments.training.parallel import create_layout
from experiments.training.program import create_program
from experiments.training.state import inference_params
from gequi_jax import models
from gequi_jax.testing import audit
from tests.networks import random_network, random_weights

STEPS = 20
# The default run audits this one, `tests/testing/test_audit.py` the same with its weights scaled.
QUICK = "rotmnist_p4_cnn"
NAMES = models.list_models()


def assert_passes(model: nnx.Module, name: str, how: str, **options):
    info = models.model_info(name)
    x = np.random.default_rng(0).normal(size=(1, *info.input_shape)).astype(np.float32)
    # In float64, which the audit may ask for, Flax's norms want the wider of two types, which strict promotion refuses.
    with jax.numpy_dtype_promotion("standard"):
        report = audit(model, x, group=info.group, **options)
    print(
        f"{name} {how}: {len(report.rows)} calls, {len(report.elements)} elements, largest error "
        f"{report.largest_error:.1e}{f', rounding: {report.remark}' if report.remark else ''}"
    )
    assert report.passed, str(report)
    assert len(report.rows) > 10
    assert all(np.isfinite(row.error) for row in report.rows)
    assert {row.path: row.kind for row in report.rows}["(model)"] == info.output


@pytest.mark.full_size
@pytest.mark.parametrize("name", NAMES)
def test_networks_pass_the_audit_with_weights_three_times_as_large(name):
    assert_passes(random_network(name), name, "scaled", weight_scale=3.0)


def recipe(name: str, **overrides):
    """The configuration of a network, with batches of two and generated data for twenty steps."""
    config = default_config() if name.startswith(("digits_", "volume_")) else load_config(name)
    config.model = name
    config.model_overrides.update(overrides)
    config.num_seeds, config.batch_size = 1, 2
    config.dataset, config.num_validation, config.num_train = "generated", 4, 2 * STEPS
    config.num_epochs = 1
    validate(config)
    return config


def trained(name: str, *, steps: int = STEPS, **overrides) -> tuple[nnx.Module, list[float]]:
    """A network behind steps of the training program, and its losses.

    Third-party training code is written for JAX's standard promotion rules.
    """
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        return _trained(name, steps, **overrides)


def _trained(name: str, steps: int, **overrides) -> tuple[nnx.Module, list[float]]:
    config = recipe(name, **overrides)
    dataset = load_data(config)
    layout = create_layout(1, batch_size=2, seeded=False)
    build = functools.partial(random_weights, lambda: build_model(config, nnx.Rngs(0)))
    program, state = create_program(
        config, lambda _: build(), normalize=data.NORMALIZATIONS["unit_range"], steps_per_epoch=STEPS, layout=layout
    )
    batches = data.training_batches(dataset.train, batch_size=2, num_steps=steps, seeds=[0])
    losses = []
    for _ in range(steps):
        state, metrics = program.train_step(state, layout.place(next(batches)))
        losses.append(float(metrics["loss"]))
    outline = nnx.eval_shape(lambda: build_model(config, nnx.Rngs(0)))
    return put_weights(outline, inference_params(state), state.other, seeded=False), losses


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.slow if name == QUICK else pytest.mark.full_size)
        for name in NAMES
        # The training program reads classes of images; tests/models/test_unet.py trains U-Nets.
        if models.model_info(name).output == "invariant"
    ],
)
def test_networks_pass_the_audit_after_twenty_training_steps(name):
    model, losses = trained(name)
    assert np.isfinite(losses).all()
    assert len(set(losses)) > 1
    assert_passes(model, name, f"after {STEPS} steps (loss {losses[0]:.2f} to {losses[-1]:.2f})")


@pytest.mark.slow
def test_gradients_are_finite_in_programs_that_are_hardly_optimised():
    """Those of the default run compute a signal once more to find its maximum, with other rounding (`maximum`)."""
    _, losses = trained("digits_alpha_f_z2_cnn", steps=3, features=2)
    assert np.isfinite(losses).all()

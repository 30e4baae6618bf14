import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
import pytest

from experiments.config import default_config
from experiments.errors import UserError
from experiments.training import optimizers


def config(**fields) -> ml_collections.ConfigDict:
    made = default_config()
    made.update({"learning_rate": 0.1, "num_epochs": 10, "warmup_epochs": 0.0, "weight_decay": 0.0, **fields})
    return made


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"schedule": "constant"}, {0: 0.1, 99: 0.1}),
        ({"schedule": "plateau"}, {0: 0.1, 99: 0.1}),
        ({"schedule": "cosine"}, {0: 0.1, 50: 0.05, 100: 0.0}),
        ({"schedule": "multi_step", "decay_epochs": (2, 5)}, {19: 0.1, 20: 0.01, 49: 0.01, 50: 0.001}),
        ({"schedule": "cosine", "warmup_epochs": 2.0}, {0: 0.005, 20: 0.1, 60: 0.05, 100: 0.0}),
        ({"schedule": "multi_step", "decay_epochs": (5,), "warmup_epochs": 1.0}, {0: 0.01, 10: 0.1, 49: 0.1, 50: 0.01}),
    ],
)
def test_schedules(fields, expected):
    schedule = optimizers.create_schedule(config(**fields), 10)
    for step, rate in expected.items():
        np.testing.assert_allclose(schedule(step), rate, rtol=1e-5, atol=1e-8)


def first_update(fields, parameter, gradient):
    optimizer = optimizers.create_optimizer(config(schedule="constant", **fields), 10)
    params = {"w": jnp.asarray([parameter])}
    updates, _ = optimizer.update({"w": jnp.asarray([gradient])}, optimizer.init(params), params)
    return float(updates["w"][0])


def test_weight_decay_means_what_the_module_says():
    # SGD: the gradient of the penalty is added; a first step of momentum is the gradient itself.
    np.testing.assert_allclose(first_update({"optimizer": "sgd", "weight_decay": 0.5}, 2.0, 3.0), -0.1 * 4.0, rtol=1e-6)
    # Adam sees gradient + decay * parameter, which here points the other way: its first step is the sign.
    np.testing.assert_allclose(first_update({"optimizer": "adam", "weight_decay": 1.0}, 2.0, -1.0), -0.1, rtol=1e-5)
    # AdamW keeps it out of the statistics.
    np.testing.assert_allclose(
        first_update({"optimizer": "adamw", "weight_decay": 1.0}, 2.0, -1.0), 0.1 - 0.1 * 2.0, rtol=1e-5
    )


def test_clipping_bounds_the_gradient():
    clipped = first_update({"optimizer": "sgd", "gradient_clip": 1.0}, 0.0, 50.0)
    np.testing.assert_allclose(clipped, -0.1, rtol=1e-5)


def test_plateau_halves_after_patience_epochs_without_progress():
    scale = optimizers.create_plateau(config(schedule="plateau", decay_factor=0.5, plateau_patience=3))
    state = scale.init({"w": jnp.zeros(1)})
    seen = []
    for loss in [1.0, 0.9, 0.9, 0.95, 0.9, 0.8, 0.8, 0.8, 0.8]:
        _, state = jax.jit(scale.update)((), state, value=jnp.asarray(loss))
        seen.append(float(state.scale))
    assert seen == [1, 1, 1, 1, 0.5, 0.5, 0.5, 0.5, 0.25]


def test_unknown_names():
    with pytest.raises(UserError, match=r"schedule: expected one of constant, .*; got 'linear'"):
        optimizers.create_schedule(config(schedule="linear"), 10)
    with pytest.raises(UserError, match=r"optimizer: expected one of .*; got 'lion'"):
        optimizers.create_optimizer(config(optimizer="lion"), 10)

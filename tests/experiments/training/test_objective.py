import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments import data
from experiments.config import default_config
from experiments.training.objective import Objective

RANDOM = np.random.default_rng(0)
LOGITS = RANDOM.normal(size=(20, 3)).astype(np.float32)
WEIGHTS = np.asarray([0.5, 2.0, 3.0], np.float32)


@pytest.mark.parametrize("task", ["classes", "ordinal"])
def test_weighted_cross_entropy(task):
    labels = RANDOM.integers(0, 3, 20)
    losses = Objective(task, 0.0, WEIGHTS).losses(jnp.asarray(LOGITS), jnp.asarray(labels))
    for logits, label, loss in zip(LOGITS, labels, losses, strict=True):
        probabilities = np.exp(logits) / np.exp(logits).sum()
        assert float(loss) == pytest.approx(-WEIGHTS[label] * np.log(probabilities[label]), rel=1e-5)


@pytest.mark.parametrize("weights", [None, WEIGHTS])
def test_binary_cross_entropy_of_several_labels(weights):
    labels = RANDOM.integers(0, 2, (20, 3))
    losses = Objective("multi_label", 0.0, weights).losses(jnp.asarray(LOGITS), jnp.asarray(labels))
    present = 1 / (1 + np.exp(-LOGITS))
    factor = np.ones(3) if weights is None else weights
    expected = -(factor * labels * np.log(present) + (1 - labels) * np.log(1 - present)).mean(axis=1)
    np.testing.assert_allclose(losses, expected, rtol=1e-5)
    correct = Objective("multi_label").correct(jnp.asarray(LOGITS), jnp.asarray(labels))
    np.testing.assert_allclose(correct, ((present > 0.5) == labels).mean(axis=1))


def test_the_loss_is_finite_for_confident_wrong_answers():
    objective = Objective("multi_label")
    logits, labels = jnp.asarray([[200.0, -200.0]]), jnp.asarray([[0, 1]])
    loss, gradient = jax.value_and_grad(lambda x: objective.losses(x, labels).mean())(logits)
    assert float(loss) == pytest.approx(200)
    assert np.isfinite(gradient).all()


def test_balanced_weights_come_from_the_training_split():
    config = default_config()
    config.class_weights = "balanced"
    labels = np.repeat([0, 1], [30, 10])
    source = data.ArraySource(np.zeros((40, 2, 2, 1), np.uint8), labels)
    dataset = data.Dataset("d", source, source, lambda: source, 2, labels=data.LabelNames(("a", "b"), "classes"))
    np.testing.assert_allclose(Objective.of(config, dataset).weights, [40 / 60, 2])
    config.class_weights = "none"
    assert Objective.of(config, dataset).weights is None

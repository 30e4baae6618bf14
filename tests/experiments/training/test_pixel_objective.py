import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.training.pixel_objective import SEGMENTATION_LOSSES, PixelObjective

RANDOM = np.random.default_rng(0)
LOGITS = RANDOM.normal(size=(3, 4, 5, 3)).astype(np.float32)
MASKS = RANDOM.integers(0, 3, (3, 4, 5))
MASKS[1] = 0  # the other classes are empty
MASKS[2] = 1
MASKS[2, 3, 4] = 2  # one pixel
WEIGHTS = np.asarray([0.5, 2.0, 3.0], np.float32)


def naive_cross_entropy(logits, mask, weights):
    total = 0.0
    for place in np.ndindex(mask.shape):
        exponentials = np.exp(logits[place])
        total -= weights[mask[place]] * np.log(exponentials[mask[place]] / exponentials.sum())
    return total / mask.size


def naive_dice(logits, mask, weights):
    loss = 0.0
    for index in range(3):
        both = either = 0.0
        for place in np.ndindex(mask.shape):
            exponentials = np.exp(logits[place])
            probability, truth = exponentials[index] / exponentials.sum(), float(mask[place] == index)
            both, either = both + probability * truth, either + probability + truth
        loss += weights[index] / weights.sum() * (1 - (1 + 2 * both) / (1 + either))
    return loss


NAIVE = {
    "cross_entropy": naive_cross_entropy,
    "dice": naive_dice,
    "cross_entropy_dice": lambda *values: naive_cross_entropy(*values) + naive_dice(*values),
}


@pytest.mark.parametrize("name", SEGMENTATION_LOSSES)
@pytest.mark.parametrize("weights", [np.ones(3, np.float32), WEIGHTS])
def test_losses_are_those_of_the_equations(name, weights):
    losses = PixelObjective(name, weights).losses(jnp.asarray(LOGITS), jnp.asarray(MASKS))
    expected = [NAIVE[name](logits, mask, weights) for logits, mask in zip(LOGITS, MASKS, strict=True)]
    np.testing.assert_allclose(losses, expected, rtol=1e-5)


@pytest.mark.parametrize("name", SEGMENTATION_LOSSES)
def test_a_confident_right_answer_costs_nothing_and_a_wrong_one_has_a_finite_gradient(name):
    objective, masks = PixelObjective(name, np.ones(3, np.float32)), jnp.asarray(MASKS)
    right = 200 * jax.nn.one_hot(masks, 3)
    np.testing.assert_allclose(objective.losses(right, masks), 0, atol=1e-6)
    loss, gradient = jax.value_and_grad(lambda logits: objective.losses(logits, masks).mean())(-right)
    assert loss > 0.9
    assert np.isfinite(gradient).all()


def test_the_share_of_right_pixels():
    correct = PixelObjective("dice", np.ones(3, np.float32)).correct(jnp.asarray(LOGITS), jnp.asarray(MASKS))
    np.testing.assert_allclose(correct, (LOGITS.argmax(-1) == MASKS).mean(axis=(1, 2)), rtol=1e-6)

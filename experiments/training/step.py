"""One training step as pure functions of a recipe, the static parts of a network, a state and a batch."""

from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import nnx
from jaxtyping import Array

from experiments import data
from experiments.training import divergence
from experiments.training.recipe import Recipe
from experiments.training.state import Graphs, Metrics, TrainState, inference_params


def train_step(
    recipe: Recipe, graphs: Graphs, state: TrainState, batch: dict[str, Array]
) -> tuple[TrainState, Metrics]:
    """Makes one update.

    Args:
      recipe: how the network is trained.
      graphs: the static parts of the network.
      state: before the step.
      batch: `image` and `label`, which is a mask for a segmentation.

    Returns:
      The state after the step, and the loss and the accuracy of the batch.
    """
    key = jax.random.fold_in(state.key, state.step)
    images, labels = augmented(recipe, key, data.as_unit_range(batch["image"]), batch["label"])

    def loss_of(params: Any) -> tuple[Array, tuple[Array, Any]]:
        logits, other = forward(recipe, graphs.train, params, state.other, images)
        loss = jnp.mean(recipe.objective.losses(logits, labels))
        accuracy = jnp.mean(recipe.objective.correct(logits, labels))
        return loss, (accuracy, other)

    (loss, (accuracy, other)), gradients = jax.value_and_grad(loss_of, has_aux=True)(state.params)
    updated = apply_gradients(recipe, state, gradients)
    noted = divergence.note(
        state.divergence,
        graphs.groups,
        step=state.step + 1,
        images=batch["image"],
        loss=loss,
        gradients=gradients,
        params=state.params,
        updated=(updated.params, other),
    )
    totals = {"loss": state.totals["loss"] + loss, "correct": state.totals["correct"] + accuracy}
    return updated._replace(other=other, totals=totals, divergence=noted), {"loss": loss, "accuracy": accuracy}


def augmented(recipe: Recipe, key: Array, images: Array, labels: Array) -> tuple[Array, Array]:
    """Augmented images and their labels; masks move with their images."""
    moved = data.augment(recipe.augmentation, key, images, group=recipe.group)
    if labels.shape == images.shape[:-1]:
        labels = data.augment_masks(recipe.augmentation, key, labels, group=recipe.group)
    return moved, labels


def forward(recipe: Recipe, graph: nnx.GraphDef, params: Any, other: Any, images: Array) -> tuple[Array, Any]:
    """Logits of images in [0, 1], in float32, and the other arrays of the network after the call."""
    # A copy: the arrays of `other` belong to the trace outside the gradient, and the network replaces its own.
    model = nnx.merge(graph, params, other, copy=True)
    logits = model(recipe.normalize(images))
    return logits.astype(jnp.float32), nnx.state(model, nnx.Not(nnx.Param))


def apply_gradients(recipe: Recipe, state: TrainState, gradients: Any) -> TrainState:
    """The state with updated parameters, moving average, optimiser state and step."""
    updates, optimizer = recipe.optimizer.update(gradients, state.optimizer, state.params)
    updates = jax.tree.map(lambda update: update * state.plateau.scale, updates)
    params = optax.apply_updates(state.params, updates)
    average = state.average
    if recipe.ema_decay:
        average = optax.incremental_update(params, state.average, 1 - recipe.ema_decay)
    return state._replace(step=state.step + 1, params=params, optimizer=optimizer, average=average)


def end_epoch(recipe: Recipe, state: TrainState, validation_loss: Array) -> TrainState:
    """The state at the start of the next epoch: totals of zero, and the scale of the learning rate updated."""
    state = state._replace(totals=jax.tree.map(jnp.zeros_like, state.totals))
    if recipe.plateau is None:
        return state
    return state._replace(plateau=recipe.plateau.update((), state.plateau, value=validation_loss)[1])


def logits(recipe: Recipe, graphs: Graphs, state: TrainState, images: Array) -> Array:
    """Logits of images (uint8, or floats in [0, 1]) in evaluation mode."""
    return forward(recipe, graphs.eval, inference_params(state), state.other, data.as_unit_range(images))[0]


def learning_rate(recipe: Recipe, state: TrainState) -> Array:
    """The learning rate of the last update."""
    return jnp.asarray(recipe.schedule(jnp.maximum(state.step - 1, 0)), jnp.float32) * state.plateau.scale

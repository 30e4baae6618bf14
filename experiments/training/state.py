"""The state of a run, which every step replaces, and the static parts of its network."""

import dataclasses
from collections.abc import Hashable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax.contrib
from flax import nnx
from jaxtyping import Array

from experiments.training import divergence
from experiments.training.divergence import Divergence
from experiments.training.recipe import Recipe

Metrics = dict[str, Array]


class TrainState(NamedTuple):
    """Everything that a checkpoint holds, except the input position.

    Attributes:
      step: number of updates made.
      key: random key of the run; step t augments with the key folded with t.
      params: trained arrays.
      other: all other arrays of the network: batch statistics, streams of random numbers.
      optimizer: state of the optimiser.
      average: moving average of params, or () if it is off.
      plateau: state of the scale of the learning rate.
      totals: sums over the current epoch of the loss and of the accuracy of each batch.
      divergence: the first step with a value that is not finite. Checkpoints leave it out: only finite states are saved.
    """

    step: Array
    key: Array
    params: Any
    other: Any
    optimizer: Any
    average: Any
    plateau: Any
    totals: Metrics
    divergence: Divergence


@dataclasses.dataclass(frozen=True)
class Graphs:
    """The static parts of a network.

    Attributes:
      train, eval: its graph in training and in evaluation mode.
      groups: its parameter groups, see `divergence`.
    """

    train: nnx.GraphDef
    eval: nnx.GraphDef
    groups: tuple[Hashable, ...]


def initial_state(model: nnx.Module, seed: int, recipe: Recipe) -> tuple[Graphs, TrainState]:
    """Splits a network into its static parts and the state before the first step.

    Args:
      model: the network.
      seed: seed of the random key.
      recipe: how it is trained.
    """
    model.eval()
    eval_graph = nnx.graphdef(model)
    model.train()
    train_graph, params, other = nnx.split(model, nnx.Param, ...)
    groups = divergence.group_names(model, params)
    # Without a plateau schedule the scale stays 1; its state has the same structure in every checkpoint.
    plateau = recipe.plateau or optax.contrib.reduce_on_plateau()
    state = TrainState(
        step=jnp.zeros((), jnp.int32),
        key=jax.random.fold_in(jax.random.key(seed), 1),
        params=params,
        other=other,
        optimizer=recipe.optimizer.init(params),
        average=jax.tree.map(jnp.copy, params) if recipe.ema_decay else (),
        plateau=plateau.init(params),
        totals={"loss": jnp.zeros(()), "correct": jnp.zeros(())},
        divergence=divergence.none_yet(len(groups)),
    )
    return Graphs(train_graph, eval_graph, groups), state


def inference_params(state: TrainState) -> Any:
    """The parameters to evaluate: the moving average, or the trained arrays if it is off."""
    return state.params if isinstance(state.average, tuple) else state.average

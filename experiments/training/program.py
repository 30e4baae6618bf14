"""The compiled functions of a run, for one or several seeds.

Several seeds add a leading axis to states and batches. The functions of one seed then run under `jax.vmap`, or on a CPU for
one seed after another.
"""

import dataclasses
import functools
from collections.abc import Callable, Hashable
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array

from experiments.config import Config
from experiments.training import step
from experiments.training.objective import Objective
from experiments.training.parallel import Layout
from experiments.training.pixel_objective import PixelObjective
from experiments.training.recipe import Recipe, create_recipe
from experiments.training.state import Graphs, Metrics, TrainState, initial_state


@dataclasses.dataclass(frozen=True)
class Program:
    """The compiled functions of a run.

    Attributes:
      train_step: from (state, batch) to (state, loss and accuracy of the batch); donates the state.
      end_epoch: from (state, validation loss) to the state of the next epoch; donates the state.
      logits: from (state, images) to logits, in evaluation mode.
      learning_rate: from a state to the learning rate of its last update.
      num_parameters: number of parameters of one network.
      groups: names of the parameter groups, see `divergence`.
    """

    train_step: Callable[[TrainState, dict[str, Array]], tuple[TrainState, Metrics]]
    end_epoch: Callable[[TrainState, Array], TrainState]
    logits: Callable[[TrainState, Array], Array]
    learning_rate: Callable[[TrainState], Array]
    num_parameters: int
    groups: tuple[Hashable, ...]


def create_program(
    config: Config,
    build_model: Callable[[nnx.Rngs], nnx.Module],
    *,
    normalize: Callable[[Array], Array],
    steps_per_epoch: int,
    layout: Layout,
    objective: Objective | PixelObjective | None = None,
) -> tuple[Program, TrainState]:
    """Builds the network of every seed and compiles the functions that train them.

    Args:
      config: the configuration of the run.
      build_model: from random streams to a network.
      normalize: from images in [0, 1] to the input of the network.
      steps_per_epoch: number of updates in one epoch.
      layout: the devices.
      objective: loss of the task; by default that of one class for each image.

    Returns:
      The program and its initial state, replicated over the devices.
    """
    recipe = create_recipe(config, steps_per_epoch, normalize=normalize, objective=objective)
    seeds = range(config.seed, config.seed + config.num_seeds)
    pairs = [initial_state(build_model(nnx.Rngs(seed)), seed, recipe) for seed in seeds]
    graphs, states = pairs[0][0], [state for _, state in pairs]
    num_parameters = sum(leaf.size for leaf in jax.tree.leaves(states[0].params))
    program = compile_program(recipe, graphs, num_seeds=len(states), num_parameters=num_parameters, layout=layout)
    return program, layout.replicate(states[0] if len(states) == 1 else _stack(*states))


def compile_program(recipe: Recipe, graphs: Graphs, *, num_seeds: int, num_parameters: int, layout: Layout) -> Program:
    """Compiles the functions of a step, for a number of seeds.

    Args:
      recipe: how the network is trained.
      graphs: its static parts.
      num_seeds: 1: states have no axis of seeds.
      num_parameters: of one network.
      layout: the devices.
    """
    compiled = functools.partial(jax.jit, out_shardings=layout.replicated)

    def over_seeds(function: Callable[..., Any], *in_axes: int | None) -> Callable[..., Any]:
        return function if num_seeds == 1 else jax.vmap(function, in_axes)

    def expensive(function: Callable[..., Any], *in_axes: int | None, **options: Any) -> Callable[..., Any]:
        if num_seeds > 1 and not seeds_side_by_side():
            return _one_after_another(function, in_axes, num_seeds, compiled)
        return compiled(over_seeds(function, *in_axes), **options)

    return Program(
        train_step=expensive(functools.partial(step.train_step, recipe, graphs), 0, 0, donate_argnums=0),
        end_epoch=compiled(over_seeds(functools.partial(step.end_epoch, recipe), 0, 0), donate_argnums=0),
        logits=expensive(functools.partial(step.logits, recipe, graphs), 0, None),
        learning_rate=compiled(over_seeds(functools.partial(step.learning_rate, recipe), 0)),
        num_parameters=num_parameters,
        groups=graphs.groups,
    )


def seeds_side_by_side() -> bool:
    """Whether several seeds are one program with an axis of seeds, which fills an accelerator.

    On a CPU, convolutions whose filters have an axis of seeds take longer than one after another.
    """
    return jax.default_backend() != "cpu"


def _one_after_another(
    function: Callable[..., Any], in_axes: tuple[int | None, ...], num_seeds: int, compiled: Callable[..., Any]
) -> Callable[..., Any]:
    """`jax.vmap` by a program for one seed, which runs for each.

    Each call ends before the next one starts: on several devices, calls of one program that do not depend on each other can
    deadlock, each waiting for threads that the other holds.
    """

    def of_one(index: Array, *arguments: Any) -> Any:
        parts = [
            argument if axis is None else jax.tree.map(lambda leaf: leaf[index], argument)
            for argument, axis in zip(arguments, in_axes, strict=True)
        ]
        return function(*parts)

    run_one, stack = compiled(of_one), compiled(_stack)
    return lambda *arguments: stack(*(jax.block_until_ready(run_one(index, *arguments)) for index in range(num_seeds)))


def _stack(*trees: Any) -> Any:
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *trees)

"""The compiled parts of a run: the state, one training step, the logits.

A model is split once into its static graph and arrays; the step is a pure function of (state, batch), compiled once,
and donated its state. With several seeds, states and batches have a leading axis, over which the same functions run under
`jax.vmap`, or one after another.
"""

import dataclasses
import functools
from collections.abc import Callable, Hashable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax import nnx
from jaxtyping import Array

from experiments import data
from experiments.config import Config
from experiments.training import divergence, optimizers
from experiments.training.divergence import Divergence
from experiments.training.parallel import Layout

Metrics = dict[str, Array]


class TrainState(NamedTuple):
    """Everything that a checkpoint must hold, apart from the input position.

    Attributes:
      step: updates made.
      key: the run's random key; augmentation uses its fold with the step.
      params: trained arrays.
      other: all other arrays of the model: batch statistics, dropout streams.
      optimizer: optax's state.
      average: moving average of params, or () where it is off.
      plateau: state of the learning-rate scale.
      totals: sums over the current epoch, of the loss and of correct answers.
      divergence: where this run stopped being finite; never part of a checkpoint, which is of a finite state.
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
class Program:
    """The compiled functions of a run.

    Attributes:
      train_step: (state, batch) to (state, loss and accuracy of the batch); consumes the state.
      end_epoch: (state, validation loss) to the state of the next epoch; consumes the state.
      logits: (state, images) to logits, in evaluation mode.
      learning_rate: that the last update of a state was made with.
      num_parameters: of one network.
      groups: names of the groups of parameters that a divergence tells apart.
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
    steps_per_epoch: int,
    layout: Layout,
) -> tuple[Program, TrainState]:
    """Builds the network of every seed and the functions that train them.

    Args:
      config: the run's configuration.
      build_model: makes a network from its random streams.
      steps_per_epoch: updates in one epoch.
      layout: the devices.

    Returns:
      The program and its initial state, replicated over the devices.
    """
    optimizer = optimizers.create_optimizer(config, steps_per_epoch)
    schedule = optimizers.create_schedule(config, steps_per_epoch)
    plateau = optimizers.plateau(config)
    normalize = data.NORMALIZATIONS[config.normalization]
    graphs, names = {}, {}

    def initial_state(seed: int) -> TrainState:
        model = build_model(nnx.Rngs(seed))
        model.eval()
        graphs["eval"] = nnx.graphdef(model)
        model.train()
        graphs["train"], params, other = nnx.split(model, nnx.Param, ...)
        names["groups"] = divergence.group_names(model, params)
        return TrainState(
            step=jnp.zeros((), jnp.int32),
            key=jax.random.fold_in(jax.random.key(seed), 1),
            params=params,
            other=other,
            optimizer=optimizer.init(params),
            average=jax.tree.map(jnp.copy, params) if config.ema_decay else (),
            plateau=plateau.init(params),
            totals={"loss": jnp.zeros(()), "correct": jnp.zeros(())},
            divergence=divergence.none_yet(len(names["groups"])),
        )

    states = [initial_state(config.seed + index) for index in range(config.num_seeds)]
    num_parameters = sum(leaf.size for leaf in jax.tree.leaves(states[0].params))
    low_precision = config.precision == "bfloat16"

    def to_compute(tree: Any) -> Any:
        def cast(leaf: Array) -> Array:
            return leaf.astype(jnp.bfloat16) if leaf.dtype == jnp.float32 else leaf

        return jax.tree.map(cast, tree) if low_precision else tree

    def forward(graph: Any, params: Any, other: Any, images: Array) -> tuple[Array, Any]:
        # A copy: the arrays of `other` belong to the trace outside the gradient, and the model writes to its own.
        model = nnx.merge(graph, to_compute(params), other, copy=True)
        logits = model(to_compute(normalize(images)))
        return logits.astype(jnp.float32), nnx.state(model, nnx.Not(nnx.Param))

    def loss_of(params: Any, other: Any, images: Array, labels: Array) -> tuple[Array, tuple[Array, Any]]:
        logits, other_after = forward(graphs["train"], params, other, images)
        # Whatever was float32 before the step stays so, also where a low-precision forward pass updated it.
        other_after = jax.tree.map(
            lambda new, old: new if new.dtype == old.dtype else new.astype(old.dtype), other_after, other
        )
        targets = jax.nn.one_hot(labels, logits.shape[-1], dtype=logits.dtype)
        losses = optax.softmax_cross_entropy(logits, optax.smooth_labels(targets, config.label_smoothing))
        correct = jnp.mean((jnp.argmax(logits, axis=-1).astype(labels.dtype) == labels).astype(jnp.float32))
        return jnp.mean(losses), (correct, other_after)

    def train_step(state: TrainState, batch: dict[str, Array]) -> tuple[TrainState, Metrics]:
        key = jax.random.fold_in(state.key, state.step)
        images = data.augment(config.augmentation, key, data.as_unit_range(batch["image"]))
        (loss, (correct, other)), gradients = jax.value_and_grad(loss_of, has_aux=True)(
            state.params, state.other, images, batch["label"]
        )
        updates, optimizer_state = optimizer.update(gradients, state.optimizer, state.params)
        updates = jax.tree.map(lambda update: update * state.plateau.scale, updates)
        params = optax.apply_updates(state.params, updates)
        average = optax.incremental_update(params, state.average, 1 - config.ema_decay) if config.ema_decay else ()
        totals = {"loss": state.totals["loss"] + loss, "correct": state.totals["correct"] + correct}
        after = state._replace(
            step=state.step + 1,
            params=params,
            other=other,
            optimizer=optimizer_state,
            average=average,
            totals=totals,
            divergence=divergence.note(
                state.divergence,
                names["groups"],
                step=state.step + 1,
                images=batch["image"],
                loss=loss,
                gradients=gradients,
                params=state.params,
                updated=(params, other),
            ),
        )
        return after, {"loss": loss, "accuracy": correct}

    def end_epoch(state: TrainState, validation_loss: Array) -> TrainState:
        state = state._replace(totals=jax.tree.map(jnp.zeros_like, state.totals))
        if config.schedule != "plateau":
            return state
        return state._replace(plateau=plateau.update((), state.plateau, value=validation_loss)[1])

    def logits(state: TrainState, images: Array) -> Array:
        params = state.average if config.ema_decay else state.params
        return forward(graphs["eval"], params, state.other, data.as_unit_range(images))[0]

    def learning_rate(state: TrainState) -> Array:
        return jnp.asarray(schedule(jnp.maximum(state.step - 1, 0)), jnp.float32) * state.plateau.scale

    compiled = functools.partial(jax.jit, out_shardings=layout.replicated)
    if config.num_seeds == 1:
        state, over_seeds = states[0], lambda function, in_axes: function
    else:
        state, over_seeds = jax.tree.map(lambda *leaves: jnp.stack(leaves), *states), jax.vmap
    in_turn = config.num_seeds > 1 and not seeds_side_by_side()

    def costly(function: Callable[..., Any], in_axes: tuple[int | None, ...], **options: Any) -> Callable[..., Any]:
        if in_turn:
            return _one_after_another(function, in_axes, config.num_seeds, compiled)
        return compiled(over_seeds(function, in_axes), **options)

    program = Program(
        train_step=costly(train_step, (0, 0), donate_argnums=0),
        end_epoch=compiled(over_seeds(end_epoch, (0, 0)), donate_argnums=0),
        logits=costly(logits, (0, None)),
        learning_rate=compiled(over_seeds(learning_rate, (0,))),
        num_parameters=num_parameters,
        groups=names["groups"],
    )
    return program, layout.replicate(state)


def seeds_side_by_side() -> bool:
    """Whether several seeds are one program with a leading axis of seeds, which fills an accelerator.

    On a CPU a convolution whose filters have an axis of seeds takes longer than one for each seed in turn.
    """
    return jax.default_backend() != "cpu"


def _one_after_another(
    function: Callable[..., Any], in_axes: tuple[int | None, ...], num_seeds: int, compiled: Callable[..., Any]
) -> Callable[..., Any]:
    """What `jax.vmap` makes of a function, by one program for one seed that is run for each.

    Each run ends before the next begins: on several devices, runs of one program that do not wait for each other's results
    can wait for each other's threads.
    """

    def of_one(index: Array, *arguments: Any) -> Any:
        parts = [
            argument if axis is None else jax.tree.map(lambda leaf: leaf[index], argument)
            for argument, axis in zip(arguments, in_axes, strict=True)
        ]
        return function(*parts)

    run_one = compiled(of_one)
    stack = compiled(lambda *results: jax.tree.map(lambda *leaves: jnp.stack(leaves), *results))
    return lambda *arguments: stack(*(jax.block_until_ready(run_one(index, *arguments)) for index in range(num_seeds)))

"""Class probabilities of trained networks: of one, averaged over its group, or over the seeds of a run."""

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from experiments import data
from experiments.errors import UserError
from experiments.trained.run import Run
from experiments.trained.tiles import whole_or_tiled
from gequi_jax import actions, groups

OWN = "own"


def probability_function(runs: Sequence[Run], *, over_group: str | None) -> Callable[[np.ndarray], np.ndarray]:
    """A function of a batch of images, as `Preprocessing.to_unit_range` gives them, to probabilities `[n, classes]`.

    Those of a segmentation are `[n, *sizes, classes]`; where images are moved, theirs are moved back.

    Args:
      runs: one for each seed; their probabilities are averaged.
      over_group: the name of a group over which to average, see `averaging_group`; None for no average.
    """
    functions = [_of_one(run, over_group=over_group) for run in runs]
    return lambda images: np.mean([np.asarray(function(images)) for function in functions], axis=0)


def segmentation_function(
    runs: Sequence[Run], *, over_group: str | None, tile_size: int | None = None
) -> Callable[[np.ndarray], np.ndarray]:
    """A function of one image `[*sizes, channels]`, of any sizes, to probabilities `[*sizes, classes]`.

    Args:
      runs: one for each seed; their probabilities are averaged.
      over_group: the name of a group over which to average, see `averaging_group`; None for no average.
      tile_size: side of the tiles in which larger images are read (0: whole images); by default as in the run.
    """
    side: int = runs[0].config.eval_tile_size if tile_size is None else tile_size
    return whole_or_tiled(runs[0].model, probability_function(runs, over_group=over_group), side)


def averaging_group(run: Run, name: str) -> tuple[groups.FiniteGroup, Sequence[int]]:
    """A group over whose images the probabilities of a run are averaged, and the elements that take part.

    Args:
      run: the run.
      name: "own" for the elements of the network's group that map the grid to itself; or the name of a group, all of whose
        elements take part, with interpolation where they do not map the grid to itself.

    Raises:
      UserError: there is no such group, or it turns images that a classifier reads into others of another shape.
    """
    if name == OWN:
        return run.group, actions.grid_preserving_elements(run.group)
    try:
        group = groups.group_by_name(name, dim=run.group.dim)
    except ValueError as error:
        raise UserError(f"--over_group {name}: {error}") from error
    image = jax.ShapeDtypeStruct((1, *run.image_shape), jnp.float32)
    # Masks are moved back, and their networks read images of any shape.
    for element in range(group.order) if run.labels.task != data.SEGMENTATION else ():
        moved = jax.eval_shape(lambda x, element=element: actions.act_on_grid(element, x, group=group), image)
        if moved.shape != image.shape:
            raise UserError(
                f"--over_group {name}: expected a group that keeps the shape of images {list(run.image_shape)}; its element "
                f"{element} makes them {list(moved.shape[1:])}; choose a group without quarter turns, such as p2"
            )
    return group, range(group.order)


def _of_one(run: Run, *, over_group: str | None) -> Callable[[np.ndarray], jax.Array]:
    graph, state = nnx.split(run.model)
    several, by_pixel = (run.labels.task == task for task in (data.MULTI_LABEL, data.SEGMENTATION))
    group, elements = averaging_group(run, over_group) if over_group else (None, (0,))

    @jax.jit
    def logits(state: nnx.State, images: jax.Array) -> jax.Array:
        model = nnx.merge(graph, state)
        return model(run.normalize(images)).astype(jnp.float32)

    def probabilities(images: np.ndarray) -> jax.Array:
        total, unit_range = jnp.zeros(()), data.as_unit_range(jnp.asarray(images))
        for element in elements:
            moved = unit_range if group is None else actions.act_on_grid(element, unit_range, group=group)
            answers = logits(state, moved)
            values = jax.nn.sigmoid(answers) if several else jax.nn.softmax(answers)
            if by_pixel and group is not None:
                values = actions.act_on_grid(int(group.inverses[element]), values, group=group)
            total = total + values
        return total / len(elements)

    return probabilities

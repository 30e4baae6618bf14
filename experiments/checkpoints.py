"""Checkpoints with orbax: model, optimiser, step, random keys and input position; the last one and the best one.

A state is stored as a flat dictionary from path to array, and the paths, shapes and dtypes once more as JSON, so that a
checkpoint of another network is recognised before anything is read into this one.
"""

import pathlib
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp
from orbax.checkpoint.checkpoint_managers import AnyPreservationPolicy, BestN, LatestN

from experiments.errors import UserError
from experiments.parallel import Layout

FOLDER = "checkpoints"
METRIC = "validation_accuracy"


class Checkpoints:
    """The checkpoints of one work directory.

    Args:
      workdir: of the run.
      layout: devices that restored arrays are put on, whatever devices they were saved from.
    """

    def __init__(self, workdir: pathlib.Path, layout: Layout):
        self.layout = layout
        self.folder = workdir.resolve() / FOLDER

        def accuracy(metrics: dict[str, float]) -> float:
            return metrics[METRIC]

        best = BestN(n=1, get_metric_fn=accuracy, keep_checkpoints_without_metrics=False)
        options = ocp.CheckpointManagerOptions(
            best_fn=accuracy,
            preservation_policy=AnyPreservationPolicy([LatestN(n=1), best]),
            cleanup_tmp_directories=True,
        )
        self.manager = ocp.CheckpointManager(self.folder, options=options)

    @property
    def last(self) -> int | None:
        """Step of the last checkpoint, or None."""
        return self.manager.latest_step()

    @property
    def best(self) -> int | None:
        """Step with the best validation accuracy (the later of equals), or None before the first validation."""
        return self.manager.best_step()

    def save(self, step: int, state: Any, position: dict[str, Any], *, accuracy: float | None = None) -> None:
        """Starts writing a checkpoint; the run goes on meanwhile.

        Args:
          step: its name; a step that exists already is left alone.
          state: a pytree of arrays.
          position: plain data: where the input is, and what else the loop must remember.
          accuracy: on the validation split, where the epoch has just ended.
        """
        if step in self.manager.all_steps():
            return
        # The next step is given this state's buffers, and writing takes longer than that: store a copy.
        arrays = {path: jnp.copy(array) for path, array in flatten(state).items()}
        self.manager.save(
            step,
            args=ocp.args.Composite(
                state=ocp.args.StandardSave(arrays),
                position=ocp.args.JsonSave({"structure": structure(arrays), **position}),
            ),
            metrics={METRIC: accuracy} if accuracy is not None else None,
        )

    def restore(self, step: int, like: Any) -> tuple[Any, dict[str, Any]]:
        """Reads a checkpoint.

        Args:
          step: which one.
          like: a state of the same structure.

        Returns:
          The state on this run's devices, and the position.

        Raises:
          UserError: the checkpoint is of another network or optimiser, or damaged.
        """
        expected = flatten(like)
        try:
            position = self.manager.restore(step, args=ocp.args.Composite(position=ocp.args.JsonRestore()))["position"]
            _compare(structure(expected), position["structure"], self.folder / str(step))
            abstract = {
                path: jax.ShapeDtypeStruct(array.shape, array.dtype, sharding=self.layout.replicated)
                for path, array in expected.items()
            }
            arguments = ocp.args.Composite(state=ocp.args.StandardRestore(abstract))
            arrays = self.manager.restore(step, args=arguments)["state"]
        except UserError:
            raise
        except Exception as error:
            raise UserError(f"checkpoint {self.folder / str(step)} cannot be read: {error}") from error
        return unflatten(like, arrays), position

    def close(self) -> None:
        """Waits for what is being written."""
        self.manager.close()


def flatten(state: Any) -> dict[str, jax.Array]:
    """A pytree of arrays as a dictionary from path to array, random keys as their integers."""
    leaves, _ = jax.tree_util.tree_flatten_with_path(state)
    return {jax.tree_util.keystr(path, simple=True, separator="."): _plain(leaf) for path, leaf in leaves}


def unflatten(like: Any, arrays: dict[str, jax.Array]) -> Any:
    """The inverse of `flatten`."""
    leaves, tree = jax.tree_util.tree_flatten_with_path(like)
    restored = []
    for path, leaf in leaves:
        array = arrays[jax.tree_util.keystr(path, simple=True, separator=".")]
        if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
            array = jax.random.wrap_key_data(array, impl=jax.random.key_impl(leaf))
        restored.append(array)
    return jax.tree_util.tree_unflatten(tree, restored)


def structure(arrays: dict[str, jax.Array]) -> dict[str, list[Any]]:
    """Shape and dtype of every array, as plain data."""
    return {path: [list(array.shape), str(np.dtype(array.dtype))] for path, array in arrays.items()}


def _plain(leaf: jax.Array) -> jax.Array:
    return jax.random.key_data(leaf) if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key) else leaf


def _compare(expected: dict[str, Any], found: dict[str, Any], folder: pathlib.Path) -> None:
    if expected == found:
        return
    path = next(path for path in [*expected, *found] if expected.get(path) != found.get(path))
    raise UserError(
        f"checkpoint {folder} is of another network or optimiser: {path} is {found.get(path, 'not there')}, "
        f"this run expects {expected.get(path, 'nothing of that name')}; nothing was changed, choose another --workdir"
    )

"""The format of a checkpoint: a state as a flat dictionary from path to array."""

import pathlib
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from experiments.errors import UserError

# Only finite states are saved, so the record of the first step that is not finite is left out.
TRANSIENT = "divergence"


def flatten(state: Any) -> dict[str, jax.Array]:
    """Flattens a pytree of arrays to a dictionary from path to array; random keys become their integers."""
    leaves, _ = jax.tree_util.tree_flatten_with_path(state)
    arrays = {_name(path): _plain(leaf) for path, leaf in leaves}
    return {name: array for name, array in arrays.items() if name.split(".")[0] != TRANSIENT}


def unflatten(like: Any, arrays: dict[str, jax.Array]) -> Any:
    """The inverse of `flatten`. Arrays that `flatten` leaves out are those of `like`."""
    leaves, tree = jax.tree_util.tree_flatten_with_path(like)
    restored = []
    for path, leaf in leaves:
        array: Any = arrays.get(_name(path), leaf)
        if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
            array = jax.random.wrap_key_data(array, impl=jax.random.key_impl(leaf))
        restored.append(array)
    return jax.tree_util.tree_unflatten(tree, restored)


def structure(arrays: dict[str, jax.Array]) -> dict[str, list[Any]]:
    """Shape and dtype of every array, as plain data."""
    return {path: [list(array.shape), str(np.dtype(array.dtype))] for path, array in arrays.items()}


def check_structure(expected: dict[str, Any], saved: dict[str, Any], folder: pathlib.Path) -> None:
    """Compares the structure of a state with that of a checkpoint.

    Raises:
      UserError: they differ; the message names the first array.
    """
    if expected == saved:
        return
    path = next(path for path in [*expected, *saved] if expected.get(path) != saved.get(path))
    raise UserError(
        f"checkpoint {folder} is of another network or optimiser: {path}: expected {expected.get(path, 'no such array')}; "
        f"got {saved.get(path, 'no such array')}; nothing was changed; choose another --workdir"
    )


def _name(path: Any) -> str:
    return jax.tree_util.keystr(path, simple=True, separator=".")


def _plain(leaf: jax.Array) -> jax.Array:
    return jax.random.key_data(leaf) if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key) else leaf

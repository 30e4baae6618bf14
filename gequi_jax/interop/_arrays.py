"""Reading published arrays by name: each is used once or named in an error."""

from collections.abc import Mapping

import jax.numpy as jnp
import numpy as np
from flax import nnx


class ArrayReader:
    """Pairs parameters with published arrays, collects everything that does not fit, and writes if everything fits.

    Args:
      arrays: the published arrays by name.
    """

    def __init__(self, arrays: Mapping[str, np.ndarray]):
        self._unread = dict(arrays)
        self._problems: list[str] = []
        self._writes: list[tuple[nnx.Variable, np.ndarray]] = []

    def take(self, name: str, shape: tuple[int, ...]) -> np.ndarray | None:
        """A required array; trailing axes of size 1, such as those of a 1x1 convolution, are removed."""
        if name not in self._unread:
            self._problems.append(f"{name} is missing")
            return None
        array = self._unread.pop(name)
        if array.shape[: len(shape)] != shape or any(size != 1 for size in array.shape[len(shape) :]):
            self._problems.append(f"{name} has shape {array.shape} where {shape} is needed")
            return None
        return array.reshape(shape)

    def take_constant(self, name: str, expected: np.ndarray, meaning: str):
        """An optional array that holds no parameter; if it exists, it must agree with ours."""
        array = self._unread.pop(name, None)
        if array is None:
            return
        if array.shape != expected.shape:
            self._problems.append(f"{name} has shape {array.shape} where {expected.shape} is needed, {meaning}")
        elif not np.allclose(array, expected, atol=1e-5):
            self._problems.append(f"{name} differs from {meaning}")

    def peek(self, name: str) -> np.ndarray | None:
        """An array that remains to be taken, or None."""
        return self._unread.get(name)

    def skip(self, name: str):
        """An optional array that holds no information, which is ignored."""
        self._unread.pop(name, None)

    def set(self, param: nnx.Variable | None, value: np.ndarray | None):
        """Schedules a value for a parameter; None stands for an array that did not fit."""
        if value is None:
            return
        if param is None:
            raise AssertionError("an array was paired with a parameter that the layer does not have")
        if value.shape != param.shape:
            raise AssertionError(f"a parameter of shape {param.shape} was paired with an array of shape {value.shape}")
        self._writes.append((param, value))

    def write(self):
        """Writes all values.

        Raises:
          ValueError: if an array is missing, spare, of another shape or in disagreement; nothing is written then.
        """
        problems = [*self._problems, *(f"{name} has no counterpart here" for name in self._unread)]
        if problems:
            raise ValueError(
                f"state_dict: {len(problems)} arrays do not fit this module: {'; '.join(problems)}. "
                "Build the module with the sizes, the group and the window of the arrays, or correct their names."
            )
        for param, value in self._writes:
            param.set_value(jnp.asarray(value, dtype=param.dtype))

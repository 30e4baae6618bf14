"""How far the logits of a network move under its group."""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np

from experiments import data
from experiments.training.parallel import Layout
from experiments.training.step import Program, TrainState
from gequi_jax import actions
from gequi_jax import testing as equivariance

Transform = Callable[[np.ndarray], np.ndarray]


def transformed(group: Any, element: int) -> Transform:
    """The action of a group element on a batch of images."""

    def apply(images: np.ndarray) -> np.ndarray:
        return np.asarray(actions.act_on_grid(element, jnp.asarray(images), group=group))

    return apply


def logit_changes(
    program: Program, state: TrainState, images: np.ndarray, *, group: Any, layout: Layout
) -> dict[str, Any]:
    """How far the logits of real images move under the group, which an equivariant network does not let them.

    Args:
      program: the run's compiled functions.
      state: of the run.
      images: `[n, rows, columns, channels]`.
      group: the symmetry to test.
      layout: the devices; each computes all of the images.

    Returns:
      `relative`: error of every grid-preserving element as `gequi_jax.testing` defines it, the worst of all seeds;
      `absolute`: the largest change of any logit; `elements`: which they are.
    """
    elements = actions.grid_preserving_elements(group)
    images = np.asarray(data.as_unit_range(jnp.asarray(images)))

    def logits(batch: Any) -> Any:
        result = np.asarray(program.logits(state, layout.replicate(np.asarray(batch))))
        # Seeds side by side: the images come first.
        return result if result.ndim == 2 else np.moveaxis(result, 0, 1).reshape(result.shape[1], -1)

    relative = equivariance.equivariance_errors(
        logits, jnp.asarray(images), group=group, input="grid", output="invariant", elements=elements
    )
    upright = logits(images)
    changes = [np.abs(logits(transformed(group, element)(images)) - upright).max() for element in elements]
    return {
        "elements": elements,
        "relative": [float(error) for error in np.asarray(relative)],
        "absolute": float(max(changes)),
    }

"""How much the logits of a network change when its input is transformed by the group."""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np

from experiments import data
from gequi_jax import actions, groups, testing

Transform = Callable[[np.ndarray], np.ndarray]


def transformed(group: groups.FiniteGroup, element: int) -> Transform:
    """The action of a group element on a batch of images."""

    def apply(images: np.ndarray) -> np.ndarray:
        return np.asarray(actions.act_on_grid(element, jnp.asarray(images), group=group))

    return apply


def logit_changes(
    logits: Callable[[np.ndarray], np.ndarray], images: np.ndarray, *, group: groups.FiniteGroup
) -> dict[str, Any]:
    """How much the logits of images change under the group; those of an equivariant network do not, up to rounding.

    Args:
      logits: from images to logits `[..., n, classes]`.
      images: `[n, *sizes, channels]`.
      group: the symmetry.

    Returns:
      `elements`: the elements that preserve the grid; `relative`: the error of each as `gequi_jax.testing` defines it,
      over all seeds; `absolute`: the largest change of any logit.
    """
    elements = actions.grid_preserving_elements(group)
    images = np.asarray(data.as_unit_range(jnp.asarray(images)))

    def by_image(batch: Any) -> Any:
        values = logits(np.asarray(batch))
        # With several seeds: the images first, then seeds and classes together.
        return values if values.ndim == 2 else np.moveaxis(values, 0, 1).reshape(values.shape[1], -1)

    relative = testing.equivariance_errors(
        by_image, jnp.asarray(images), group=group, input="grid", output="invariant", elements=elements
    )
    upright = by_image(images)
    changes = [np.abs(by_image(transformed(group, element)(images)) - upright).max() for element in elements]
    return {
        "elements": elements,
        "relative": [float(error) for error in np.asarray(relative)],
        "absolute": float(max(changes)),
    }

"""How much the logits of a network change when its input is transformed by the group."""

from collections.abc import Callable, Sequence
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


def logit_map_changes(
    logits: Callable[[np.ndarray], np.ndarray], images: Sequence[np.ndarray], *, group: groups.FiniteGroup
) -> dict[str, Any]:
    """How far logits at each position are from moving with their images; those of an equivariant network do, up to rounding.

    Args:
      logits: from `[1, *sizes, channels]` to `[1, *sizes, classes]`, with a leading axis of seeds if there are several.
      images: `[*sizes, channels]`, of any sizes.
      group: the symmetry.

    Returns:
      `elements`: the elements that preserve the grid; `relative`: the largest error of each over the images, as
      `gequi_jax.testing` defines it; `absolute`: the largest change of any logit; `changed_pixels`: for each element the
      share of pixels that have another class than the moved segmentation.
    """
    elements = actions.grid_preserving_elements(group)
    relative, changed, absolute = np.zeros((len(images), len(elements))), np.zeros((len(images), len(elements))), 0.0
    for row, image in enumerate(images):
        upright = _seeds_as_batch(logits(image[None]), group.dim)
        for column, element in enumerate(elements):
            move = transformed(group, element)
            expected, got = move(upright), _seeds_as_batch(logits(move(image[None])), group.dim)
            relative[row, column] = np.linalg.norm(got - expected) / np.linalg.norm(expected)
            changed[row, column] = np.mean(got.argmax(-1) != expected.argmax(-1))
            absolute = max(absolute, float(np.abs(got - expected).max()))
    return {
        "elements": elements,
        "relative": relative.max(axis=0).tolist(),
        "absolute": absolute,
        "changed_pixels": changed.mean(axis=0).tolist(),
    }


def _seeds_as_batch(logits: np.ndarray, dim: int) -> np.ndarray:
    """Logits of one image as `[seeds, *sizes, classes]`."""
    return logits.reshape(-1, *logits.shape[-1 - dim :])

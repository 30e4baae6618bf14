"""An image under the elements of a group, and through a full rotation."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from experiments import data
from experiments.errors import UserError
from experiments.trained.run import Run
from gequi_jax import actions, groups


@dataclasses.dataclass(frozen=True)
class Transforms:
    """An image under a group.

    Attributes:
      group: of the network.
      elements: those that map the grid to itself, the identity first.
      images: `[elements, rows, columns, channels]` in [0, 1].
    """

    group: groups.FiniteGroup
    elements: Sequence[int]
    images: np.ndarray


def transform_image(run: Run, image: np.ndarray) -> Transforms:
    """The transforms of an image under the group of a run.

    Raises:
      UserError: images that are not square, or a network without a group.
    """
    rows, columns, _ = run.image_shape
    if rows != columns:
        raise UserError(f"--workdir {run.workdir}: expected a run on square images; got {rows}x{columns}")
    elements = actions.grid_preserving_elements(run.group)
    elements.sort(key=lambda element: element != run.group.identity)
    if len(elements) == 1:
        raise UserError(
            f"--workdir {run.workdir}: expected a network with a group; got {run.config.model}; choose another run"
        )
    images = [np.asarray(actions.act_on_grid(element, image[None], group=run.group))[0] for element in elements]
    return Transforms(run.group, elements, np.stack(images))


def rotated_frames(image: np.ndarray, num_frames: int) -> np.ndarray:
    """An image through a full rotation in equal steps, `[frames, rows, columns, channels]`."""
    angles = np.linspace(0, 2 * np.pi, num_frames, endpoint=False).astype(np.float32)
    return data.rotate_images(np.repeat(image[None], num_frames, axis=0), angles)

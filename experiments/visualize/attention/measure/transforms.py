"""An image under the elements of a group, and through a full rotation."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from experiments import data
from experiments.errors import UserError
from experiments.trained.run import Run
from gequi_jax import actions, groups

MOST_OF_VOLUMES = 6  # elements, of those that map a cube to itself


@dataclasses.dataclass(frozen=True)
class Transforms:
    """An image under a group.

    Attributes:
      group: of the network.
      elements: those that map the grid to itself, the identity first; of volumes a few, spread over the group.
      images: `[elements, *sizes, channels]` in [0, 1].
    """

    group: groups.FiniteGroup
    elements: Sequence[int]
    images: np.ndarray


def transform_image(run: Run, image: np.ndarray) -> Transforms:
    """The transforms of an image under the group of a run.

    Raises:
      UserError: images that are not square, volumes that are no cubes, or a network without a group.
    """
    *sizes, _ = run.image_shape
    if len(set(sizes)) > 1:
        raise UserError(
            f"--workdir {run.workdir}: expected a run on square images or cubes; got {'x'.join(map(str, sizes))}"
        )
    elements = actions.grid_preserving_elements(run.group)
    elements.sort(key=lambda element: element != run.group.identity)
    if len(elements) == 1:
        raise UserError(
            f"--workdir {run.workdir}: expected a network with a group; got {run.config.model}; choose another run"
        )
    if len(sizes) == 3:
        elements = elements[:: -(-len(elements) // MOST_OF_VOLUMES)]
    images = [np.asarray(actions.act_on_grid(element, image[None], group=run.group))[0] for element in elements]
    return Transforms(run.group, elements, np.stack(images))


def rotated_frames(image: np.ndarray, num_frames: int) -> np.ndarray:
    """An image through a full rotation in equal steps, `[frames, rows, columns, channels]`; none of a volume."""
    if image.ndim == 4:
        return np.empty((0, *image.shape), np.float32)
    angles = np.linspace(0, 2 * np.pi, num_frames, endpoint=False).astype(np.float32)
    return data.rotate_images(np.repeat(image[None], num_frames, axis=0), angles)

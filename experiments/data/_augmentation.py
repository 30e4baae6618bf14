"""Augmentation: named functions on batches of float images in [0, 1], traced into the training step.

Those that move pixels are drawn from a group or keep to the grid; those that change values change each pixel by itself, so
that they commute with every turn.
"""

from collections.abc import Callable, Mapping, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from experiments.data._rotation import rotate_traced_images
from experiments.errors import UserError
from gequi_jax import actions, groups

Images = Float[Array, "batch *spatial channels"]

PADDING = 4
BRIGHTNESS, CONTRAST, NOISE = 0.1, 0.2, 0.02


def random_rotation(key: PRNGKeyArray, images: Images) -> Images:
    """Turns each image by its own uniform angle, bilinear, zeros outside."""
    angles = jax.random.uniform(key, (images.shape[0],), maxval=2 * jnp.pi)
    return rotate_traced_images(images, angles)


def random_quarter_turn(key: PRNGKeyArray, images: Images) -> Images:
    """Turns each (square) image by its own multiple of 90 degrees."""
    turns = jax.random.randint(key, (images.shape[0], 1, 1, 1), 0, 4)
    turned = [jnp.rot90(images, number, axes=(1, 2)) for number in range(4)]
    return jnp.select([turns == number for number in range(4)], turned)


def random_flip(key: PRNGKeyArray, images: Images) -> Images:
    """Mirrors the columns of every other image, by chance."""
    flipped = jax.random.bernoulli(key, shape=(images.shape[0], 1, 1, 1))
    return jnp.where(flipped, images[:, :, ::-1], images)


def random_crop(key: PRNGKeyArray, images: Images) -> Images:
    """Pads with 4 zeros on every side and cuts each image out again at its own place."""
    padded = jnp.pad(images, ((0, 0), (PADDING, PADDING), (PADDING, PADDING), (0, 0)))
    offsets = jax.random.randint(key, (images.shape[0], 2), 0, 2 * PADDING + 1)
    zero = jnp.zeros((), offsets.dtype)

    def cut(image: Array, offset: Array) -> Array:
        return jax.lax.dynamic_slice(image, (offset[0], offset[1], zero), images.shape[1:])

    return jax.vmap(cut)(padded, offsets)


def random_symmetry(key: PRNGKeyArray, images: Images, group: groups.FiniteGroup) -> Images:
    """Moves each image by its own element of the group, of those that map the grid to itself: exact, in any dimension."""
    sizes = images.shape[1:-1]
    table = _grid_permutations(group, sizes)
    chosen = jax.random.randint(key, (images.shape[0],), 0, len(table))
    flat = images.reshape(images.shape[0], -1, images.shape[-1])
    return jnp.take_along_axis(flat, jnp.asarray(table)[chosen][:, :, None], axis=1).reshape(images.shape)


def _grid_permutations(group: groups.FiniteGroup, sizes: tuple[int, ...]) -> np.ndarray:
    """`[elements, positions]`: where each element reads the pixel of a position; only elements that keep the sizes."""
    grid = np.arange(np.prod(sizes), dtype=np.int32).reshape(1, *sizes, 1)
    rows = []
    with jax.ensure_compile_time_eval():
        for element in actions.grid_preserving_elements(group):
            # An element that exchanges axes needs their sizes to be equal.
            matrix = np.abs(np.rint(group.matrices[element])).astype(int)
            if tuple(matrix @ np.asarray(sizes)) == tuple(sizes):
                rows.append(np.asarray(actions.act_on_grid(element, jnp.asarray(grid), group=group)).reshape(-1))
    return np.stack(rows)


def random_brightness(key: PRNGKeyArray, images: Images) -> Images:
    """Adds to each image its own number from -0.1 to 0.1."""
    return images + _for_each(key, images, -BRIGHTNESS, BRIGHTNESS)


def random_contrast(key: PRNGKeyArray, images: Images) -> Images:
    """Multiplies the distance of each image from its mean by its own factor from 0.8 to 1.2."""
    mean = images.mean(axis=tuple(range(1, images.ndim)), keepdims=True)
    return mean + (images - mean) * _for_each(key, images, 1 - CONTRAST, 1 + CONTRAST)


def random_noise(key: PRNGKeyArray, images: Images) -> Images:
    """Adds independent normal noise of standard deviation 0.02 to every value."""
    return images + np.float32(NOISE) * jax.random.normal(key, images.shape, images.dtype)


def _for_each(key: PRNGKeyArray, images: Images, low: float, high: float) -> Array:
    shape = (images.shape[0],) + (1,) * (images.ndim - 1)
    return jax.random.uniform(key, shape, images.dtype, minval=low, maxval=high)


AUGMENTATIONS: Mapping[str, Callable[..., Images]] = {
    "random_rotation": random_rotation,
    "random_quarter_turn": random_quarter_turn,
    "random_flip": random_flip,
    "random_crop": random_crop,
    "random_symmetry": random_symmetry,
    "random_brightness": random_brightness,
    "random_contrast": random_contrast,
    "random_noise": random_noise,
}
# Those that move pixels without computing new values.
_EXACT = ("random_quarter_turn", "random_flip", "random_symmetry")
_MOVING = (*_EXACT, "random_rotation", "random_crop")
# Written for images with rows and columns.
_PLANAR = ("random_rotation", "random_quarter_turn", "random_flip", "random_crop")


def augment(
    names: Sequence[str], key: PRNGKeyArray, images: Images, *, group: groups.FiniteGroup | None = None
) -> Images:
    """Applies the named augmentations in order, each with a key of its own.

    Args:
      names: of `AUGMENTATIONS`.
      key: of all of them.
      images: in [0, 1].
      group: that random_symmetry draws from.
    """
    for position, name in enumerate(names):
        images = _augment_by(name, jax.random.fold_in(key, position), images, group)
    return images


def augment_masks(
    names: Sequence[str], key: PRNGKeyArray, masks: Array, *, group: groups.FiniteGroup | None = None
) -> Array:
    """Moves masks `[batch, *spatial]` as `augment` with the same key moves their images; what changes values is left out."""
    for position, name in enumerate(names):
        if name in _EXACT:
            masks = _augment_by(name, jax.random.fold_in(key, position), masks[..., None], group)[..., 0]
    return masks


def _augment_by(name: str, key: PRNGKeyArray, images: Array, group: groups.FiniteGroup | None) -> Array:
    more = {"group": group} if name == "random_symmetry" else {}
    return AUGMENTATIONS[name](key, images, **more)


def check_augmentation(names: Sequence[str], dim: int, *, masks: bool = False) -> None:
    """Raises UserError for planar augmentations of volumes, and for those that a mask cannot follow exactly."""
    inexact = [name for name in names if masks and name in _MOVING and name not in _EXACT]
    if inexact:
        raise UserError(
            f"augmentation={','.join(inexact)} computes new values, which masks do not have; choose from "
            f"{', '.join(_EXACT)}; tiles at random places are --config.tile_size"
        )
    planar = [name for name in names if name in _PLANAR]
    if planar and dim != 2:
        raise UserError(
            f"augmentation={','.join(planar)} is for images with rows and columns, these have {dim} axes; "
            "choose random_symmetry or ()"
        )

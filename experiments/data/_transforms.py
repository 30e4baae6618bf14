"""Normalization and augmentation: named functions of batches of float images, traced into the training step."""

from collections.abc import Callable, Mapping, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from experiments.data._rotation import rotate_traced_images

Images = Float[Array, "batch rows columns channels"]

PADDING = 4


def as_unit_range(images: Array) -> Images:
    """Converts uint8 images to floats in [0, 1]; floats in that range stay as they are."""
    if images.dtype == jnp.uint8:
        return images.astype(jnp.float32) / np.float32(255)
    return images.astype(jnp.float32)


def unit_range(images: Images) -> Images:
    """Keeps the range [0, 1]."""
    return images


def symmetric_range(images: Images) -> Images:
    """Maps [0, 1] to [-1, 1]."""
    return images * 2 - 1


def _standardized(mean: Sequence[float], deviation: Sequence[float]) -> Callable[[Images], Images]:
    def normalize(images: Images) -> Images:
        shape = (1,) * (images.ndim - 1) + (-1,)
        return (images - np.asarray(mean, np.float32).reshape(shape)) / np.asarray(deviation, np.float32).reshape(shape)

    return normalize


NORMALIZATIONS: Mapping[str, Callable[[Images], Images]] = {
    "unit_range": unit_range,
    "symmetric_range": symmetric_range,
    # Mean and standard deviation of the pixels of scikit-learn's digits, of MNIST and of CIFAR-10.
    "digits": _standardized((0.3053,), (0.3760,)),
    "mnist": _standardized((0.1307,), (0.3081,)),
    "cifar10": _standardized((0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)),
}


def random_rotation(key: PRNGKeyArray, images: Images) -> Images:
    """Rotates each image by a uniform random angle, bilinear, with zeros outside."""
    angles = jax.random.uniform(key, (images.shape[0],), maxval=2 * jnp.pi)
    return rotate_traced_images(images, angles)


def random_quarter_turn(key: PRNGKeyArray, images: Images) -> Images:
    """Rotates each (square) image by a random multiple of 90 degrees."""
    turns = jax.random.randint(key, (images.shape[0], 1, 1, 1), 0, 4)
    turned = [jnp.rot90(images, number, axes=(1, 2)) for number in range(4)]
    return jnp.select([turns == number for number in range(4)], turned)


def random_flip(key: PRNGKeyArray, images: Images) -> Images:
    """Flips the columns of each image with probability 1/2."""
    flipped = jax.random.bernoulli(key, shape=(images.shape[0], 1, 1, 1))
    return jnp.where(flipped, images[:, :, ::-1], images)


def random_crop(key: PRNGKeyArray, images: Images) -> Images:
    """Pads with 4 zeros on every side and crops each image at a random position."""
    padded = jnp.pad(images, ((0, 0), (PADDING, PADDING), (PADDING, PADDING), (0, 0)))
    offsets = jax.random.randint(key, (images.shape[0], 2), 0, 2 * PADDING + 1)
    zero = jnp.zeros((), offsets.dtype)

    def cut(image: Array, offset: Array) -> Array:
        return jax.lax.dynamic_slice(image, (offset[0], offset[1], zero), images.shape[1:])

    return jax.vmap(cut)(padded, offsets)


AUGMENTATIONS: Mapping[str, Callable[[PRNGKeyArray, Images], Images]] = {
    "random_rotation": random_rotation,
    "random_quarter_turn": random_quarter_turn,
    "random_flip": random_flip,
    "random_crop": random_crop,
}


def augment(names: Sequence[str], key: PRNGKeyArray, images: Images) -> Images:
    """Applies the named augmentations in order, each with its own random key."""
    for position, name in enumerate(names):
        images = AUGMENTATIONS[name](jax.random.fold_in(key, position), images)
    return images

"""Normalisation: named functions on batches of float images, traced into the training step."""

from collections.abc import Callable, Mapping, Sequence

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from experiments.data._preprocessing import Preprocessing
from experiments.errors import UserError

Images = Float[Array, "batch *spatial channels"]

# Mean and standard deviation of the training split, stored with the run.
MEASURED = "measured"


def as_unit_range(images: Array) -> Images:
    """uint8 images to floats in [0, 1]; floats stay as they are."""
    if images.dtype == jnp.uint8:
        return images.astype(jnp.float32) / np.float32(255)
    return images.astype(jnp.float32)


def unit_range(images: Images) -> Images:
    """Leaves [0, 1] alone."""
    return images


def symmetric_range(images: Images) -> Images:
    """Maps [0, 1] to [-1, 1]."""
    return images * 2 - 1


def _standardized(mean: Sequence[float], deviation: Sequence[float]) -> Callable[[Images], Images]:
    def normalize(images: Images) -> Images:
        shape = (1,) * (images.ndim - 1) + (-1,)
        return (images - np.asarray(mean, np.float32).reshape(shape)) / np.asarray(deviation, np.float32).reshape(shape)

    return normalize


_CHANNELS = {"digits": 1, "mnist": 1, "cifar10": 3}
NORMALIZATIONS: Mapping[str, Callable[[Images], Images]] = {
    "unit_range": unit_range,
    "symmetric_range": symmetric_range,
    # Mean and standard deviation of the pixels of scikit-learn's digits, of MNIST and of CIFAR-10.
    "digits": _standardized((0.3053,), (0.3760,)),
    "mnist": _standardized((0.1307,), (0.3081,)),
    "cifar10": _standardized((0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)),
}


def normalization(name: str, preprocessing: Preprocessing | None) -> Callable[[Images], Images]:
    """The function that a configuration names.

    Args:
      name: one of `NORMALIZATIONS`, or `MEASURED`.
      preprocessing: of the data set, with its moments where they are asked for; None is enough for constants.

    Raises:
      UserError: constants for another number of channels.
      ValueError: moments that were not measured.
    """
    if name == MEASURED:
        if preprocessing is None or not preprocessing.mean:
            raise ValueError("preprocessing: expected the moments of a data set; load it with normalization=measured")
        return _standardized(preprocessing.mean, preprocessing.deviation)
    channels = _CHANNELS.get(name)
    if preprocessing is not None and channels not in (None, preprocessing.channels):
        raise UserError(
            f"normalization={name} is for {channels} channel(s), the images have {preprocessing.channels}; "
            f"choose {MEASURED}"
        )
    return NORMALIZATIONS[name]

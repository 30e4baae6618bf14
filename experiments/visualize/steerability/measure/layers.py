"""Lifting layers for C_8, and smooth images that rotate without interpolation."""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from gequi_jax.actions import round_window, window_offsets
from gequi_jax.groups import cyclic_group
from gequi_jax.nn import FourierEncoding, LiftingConv, LiftingSelfAttention

GROUP = cyclic_group(8)
NUM_IMAGES = 64
WAVES_PER_IMAGE = 12
SMOOTH_KERNEL = "convolution, smooth kernel"

Builder = Callable[..., nnx.Module]


def smooth_images(element: int, side: int, wavenumber: float = 0.6) -> jax.Array:
    """Random sums of twelve plane waves under an element h of C_8: f(h^-1 x), evaluated and not interpolated.

    Args:
      element: the index of h.
      side: of the images; a larger image continues a smaller one.
      wavenumber: the largest wavenumber, in radians per pixel.

    Returns:
      `[64, side, side, 1]`, of unit variance.
    """
    random = np.random.default_rng(0)
    waves = random.uniform(-1, 1, (NUM_IMAGES, WAVES_PER_IMAGE, 2))
    waves *= wavenumber / np.maximum(1.0, np.linalg.norm(waves, axis=-1, keepdims=True))
    phases = random.uniform(0, 2 * np.pi, (NUM_IMAGES, WAVES_PER_IMAGE, 1, 1))
    axis = np.arange(side) - side // 2
    positions = np.stack(np.meshgrid(axis, axis, indexing="ij"), -1) @ np.linalg.inv(GROUP.matrices[element]).T
    values = np.cos(np.einsum("nwd,rcd->nwrc", waves, positions) + phases).sum(axis=1)
    return jnp.asarray(values[..., None] / np.sqrt(WAVES_PER_IMAGE / 2), jnp.float32)


def attention(window_size: int, window_mask: Callable | None = None, *, rngs: nnx.Rngs) -> LiftingSelfAttention:
    """Lifting self-attention for C_8, with weights large enough for attention that is far from uniform."""
    return LiftingSelfAttention(
        1,
        8,
        group=GROUP,
        num_heads=4,
        qkv_features=32,
        window_size=window_size,
        window_mask=window_mask,
        position_encoding=FourierEncoding,
        kernel_init=nnx.initializers.variance_scaling(9.0, "fan_in", "normal"),
        rngs=rngs,
    )


def convolution(window_size: int, window_mask: Callable | None = None, *, rngs: nnx.Rngs) -> LiftingConv:
    """Lifting convolution for C_8 with its default initialisation: independent kernel entries."""
    return LiftingConv(1, 8, window_size, group=GROUP, window_mask=window_mask, rngs=rngs)


def sampled_convolution(window_size: int, window_mask: Callable | None = None, *, rngs: nnx.Rngs) -> LiftingConv:
    """Lifting convolution for C_8 whose kernel samples a smooth function, an encoding, at the offsets of the window."""
    layer = convolution(window_size, window_mask, rngs=rngs)
    encoding = FourierEncoding(8, dim=2, rngs=rngs)
    offsets = window_offsets((window_size, window_size)) / ((window_size - 1) / 2)
    layer.kernel[...] = encoding(jnp.asarray(offsets, jnp.float32)).reshape(layer.kernel.shape)
    return layer


LAYERS: dict[tuple[str, str], Builder] = {
    ("attention", "square"): attention,
    ("attention", "round"): functools.partial(attention, window_mask=round_window),
    ("convolution", "square"): convolution,
    ("convolution", "round"): functools.partial(convolution, window_mask=round_window),
    (SMOOTH_KERNEL, "square"): sampled_convolution,
    (SMOOTH_KERNEL, "round"): functools.partial(sampled_convolution, window_mask=round_window),
}

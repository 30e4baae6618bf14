"""Turns by angles that no grid survives: what they cost a layer, and what they cost the kernel or encoding inside it.

Smooth images are functions of continuous coordinates, so that a turned image is made without interpolation. Outputs are
compared at the centre, which every turn leaves where it is: what remains is the error of the layer alone.

Reference: Romero & Cordonnier (2021), Sec. 5.1 and Fig. 2.
"""

import dataclasses
import functools
from collections.abc import Callable, Iterable

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from gequi_jax.actions import inverse_act_on_positions, round_window, transform_kernel, window_offsets
from gequi_jax.functional import transformed_position_encodings
from gequi_jax.groups import cyclic_group
from gequi_jax.nn import FourierEncoding, LiftingConv, LiftingSelfAttention

GROUP = cyclic_group(8)
EIGHTH_TURN = 1
IMAGES = 64
SEEDS = 10
WINDOW_SIZES = (5, 7, 9, 11)
FINE_GROUP = cyclic_group(24)
ANGLES = (0, 15, 30, 45, 60, 75, 90)

Builder = Callable[..., nnx.Module]


def smooth_images(element: int, side: int, wavenumber: float = 0.6) -> jax.Array:
    """Random sums of twelve plane waves, turned by an element of C_8: f(h^-1 x).

    Args:
      element: the index of h.
      side: of the images; a larger image continues a smaller one.
      wavenumber: the largest of a wave, in radians a pixel.

    Returns:
      `[64, side, side, 1]`, of unit variance.
    """
    random = np.random.default_rng(0)
    waves = random.uniform(-1, 1, (IMAGES, 12, 2))
    waves *= wavenumber / np.maximum(1.0, np.linalg.norm(waves, axis=-1, keepdims=True))
    phases = random.uniform(0, 2 * np.pi, (IMAGES, 12, 1, 1))
    axis = np.arange(side) - side // 2
    grid = np.stack(np.meshgrid(axis, axis, indexing="ij"), -1) @ np.linalg.inv(GROUP.matrices[element]).T
    values = np.cos(np.einsum("nwd,rcd->nwrc", waves, grid) + phases).sum(axis=1)
    return jnp.asarray(values[..., None] / np.sqrt(6), jnp.float32)


def attention(window_size: int, window_mask: Callable | None = None, *, rngs: nnx.Rngs) -> LiftingSelfAttention:
    """Lifting self-attention for C_8, with weights large enough that it looks somewhere."""
    return LiftingSelfAttention(
        1,
        8,
        group=GROUP,
        num_heads=4,
        qkv_features=8,
        window_size=window_size,
        window_mask=window_mask,
        position_encoding=FourierEncoding,
        kernel_init=nnx.initializers.variance_scaling(9.0, "fan_in", "normal"),
        rngs=rngs,
    )


def convolution(window_size: int, window_mask: Callable | None = None, *, rngs: nnx.Rngs) -> LiftingConv:
    """Lifting convolution for C_8 as it is initialised: the entries of its kernel are independent of each other."""
    return LiftingConv(1, 8, window_size, group=GROUP, window_mask=window_mask, rngs=rngs)


def sampled_convolution(window_size: int, window_mask: Callable | None = None, *, rngs: nnx.Rngs) -> LiftingConv:
    """Lifting convolution for C_8 whose kernel is a smooth function, an encoding, at the offsets of the window."""
    layer = convolution(window_size, window_mask, rngs=rngs)
    encoding = FourierEncoding(8, dim=2, rngs=rngs)
    layer.kernel[...] = encoding(_coordinates(window_size)).reshape(layer.kernel.shape)
    return layer


def streams(seed: int) -> nnx.Rngs:
    """Random streams that are the same whatever generator JAX is set to use."""
    return nnx.Rngs(jax.random.key(seed, impl="threefry2x32"))


LAYERS: dict[tuple[str, str], Builder] = {
    ("attention", "square"): attention,
    ("attention", "round"): functools.partial(attention, window_mask=round_window),
    ("convolution", "square"): convolution,
    ("convolution", "round"): functools.partial(convolution, window_mask=round_window),
    ("convolution, smooth kernel", "square"): sampled_convolution,
    ("convolution, smooth kernel", "round"): functools.partial(sampled_convolution, window_mask=round_window),
}


def centre_error(layer: nnx.Module, window_size: int, element: int = EIGHTH_TURN) -> float:
    """How far a layer is from equivariance at the centre of smooth images.

        |layer(L_h f) - L_h layer(f)| / |layer(f) - mean|, the mean taken over images

    Args:
      layer: from images to feature maps on C_8.
      window_size: the side of its window; the images show what the window at their centre sees.
      element: the index of h.
    """
    plain = np.asarray(_centre_of_output(layer, smooth_images(0, window_size)))  # [image, group, channels]
    turned = np.asarray(_centre_of_output(layer, smooth_images(element, window_size)))
    expected = plain[:, GROUP.cayley_table[GROUP.inverses[element]]]
    return float(np.linalg.norm(turned - expected) / np.linalg.norm(plain - plain.mean(axis=0)))


@nnx.jit
def _centre_of_output(layer: nnx.Module, images: jax.Array) -> jax.Array:
    return layer(images)[:, images.shape[1] // 2, images.shape[2] // 2]


@dataclasses.dataclass(frozen=True)
class LayerError:
    """Error of one kind of layer under a turn by 45 degrees.

    Attributes:
      layer, window: the key in `LAYERS`.
      window_size: the side of the window in pixels.
      errors: one for each initialisation.
    """

    layer: str
    window: str
    window_size: int
    errors: tuple[float, ...]

    @property
    def mean(self) -> float:
        return float(np.mean(self.errors))

    @property
    def standard_error(self) -> float:
        """Of the mean; 0 for a single initialisation."""
        return float(np.std(self.errors, ddof=1) / np.sqrt(len(self.errors))) if len(self.errors) > 1 else 0.0


def layer_errors(window_sizes: Iterable[int] = WINDOW_SIZES, seeds: int = SEEDS) -> list[LayerError]:
    """The error of every layer of `LAYERS`, at every size of the window, for the seeds from 0."""
    return [
        LayerError(
            *name,
            window_size,
            tuple(centre_error(build(window_size, rngs=streams(seed)), window_size) for seed in range(seeds)),
        )
        for name, build in LAYERS.items()
        for window_size in window_sizes
    ]


@dataclasses.dataclass(frozen=True)
class Turn:
    """One function turned in two ways: its samples interpolated, and itself evaluated at turned offsets.

    Attributes:
      angle: in degrees, counter-clockwise.
      kernel: `[window, window]`, the samples at 0 degrees turned by bilinear interpolation.
      encoding: `[window, window]`, the function at turned offsets.
      function: `[fine, fine]`, the same between the offsets, as far as the borders of the outermost pixels.
      kernel_error: |kernel - encoding| / |encoding|.
      kernel_error_in_disc: the same over the offsets of the round window.
      kernel_returned: the error of the samples turned and turned back, relative to those at 0 degrees.
      encoding_returned: the same of the function.
    """

    angle: int
    kernel: np.ndarray
    encoding: np.ndarray
    function: np.ndarray
    kernel_error: float
    kernel_error_in_disc: float
    kernel_returned: float
    encoding_returned: float


def turns(window_size: int = 5, angles: Iterable[int] = ANGLES, seed: int = 0, fine: int = 60) -> list[Turn]:
    """Turns the positional part of an attention score, q . rho(x) / sqrt(d), as a kernel and as an encoding.

    Args:
      window_size: the side of the window.
      angles: multiples of 15 degrees.
      seed: of the attention layer; q is its first query at the centre of the first smooth image.
      fine: points a side between which the function is drawn.
    """
    layer = attention(window_size, rngs=streams(seed))
    query = layer.query(smooth_images(0, window_size)[:1])[0, window_size // 2, window_size // 2, 0]

    def score(positions: jax.Array) -> jax.Array:
        return (layer.position_encoding(positions) @ query / np.sqrt(query.size))[..., None]

    window = {"group": FINE_GROUP, "window_shape": (window_size, window_size)}
    encodings = transformed_position_encodings(score, **window)[..., 0].reshape(-1, window_size, window_size)
    first = encodings[0]
    kernels = _turned_kernels(first)
    between = inverse_act_on_positions(FINE_GROUP, window_offsets((fine, fine)) * (window_size / fine))
    disc = round_window((window_size, window_size)).reshape(first.shape)
    found = []
    for angle in angles:
        element = angle * FINE_GROUP.order // 360
        back = int(FINE_GROUP.inverses[element])
        matrix = jnp.asarray(FINE_GROUP.matrices[back].T, jnp.float32)
        returned = transformed_position_encodings(lambda x, m=matrix: score(x @ m), **window)[back, :, 0]
        function = score(jnp.asarray(between[element] / ((window_size - 1) / 2), jnp.float32))
        kernel, encoding = kernels[element], encodings[element]
        found.append(
            Turn(
                angle,
                np.asarray(kernel),
                np.asarray(encoding),
                np.asarray(function.reshape(fine, fine)),
                _relative(kernel, encoding),
                _relative(kernel[disc], encoding[disc]),
                _relative(_turned_kernels(kernel)[back], first),
                _relative(returned.reshape(first.shape), first),
            )
        )
    return found


def _turned_kernels(kernel: jax.Array) -> jax.Array:
    return transform_kernel(kernel[..., None, None], group=FINE_GROUP)[..., 0, 0]


def _relative(array: jax.Array, expected: jax.Array) -> float:
    return float(jnp.linalg.norm(array - expected) / jnp.linalg.norm(expected))


def _coordinates(window_size: int) -> jax.Array:
    return jnp.asarray(window_offsets((window_size, window_size)) / ((window_size - 1) / 2), jnp.float32)

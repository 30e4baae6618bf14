"""The U-Net, with group convolutions, in two and three dimensions: from images or vector fields to maps of the same size."""

import itertools
from collections.abc import Callable, Sequence
from typing import Any, Literal, get_args

import jax
import jax.numpy as jnp
from flax import nnx

from gequi_jax import functional
from gequi_jax._checks import check_choice, check_group, check_non_negative_integer, check_positive_integer
from gequi_jax._padding import pad_with_edges
from gequi_jax._typing import Array, FeatureMap, Float
from gequi_jax.groups import FiniteGroup
from gequi_jax.models._readout import pool_over_poses
from gequi_jax.models._sizes import check_input_shape
from gequi_jax.nn import (
    AntialiasedPool,
    BatchNorm,
    GroupConv,
    LiftingConv,
    PreNormSelfAttentionBlock,
    TensorReadout,
    VectorLifting,
    VectorReadout,
)

UNetInput = Literal["grid", "vectors"]
UNetOutput = Literal["grid", "vectors", "tensors"]


class UNetStage(nnx.Module):
    """Two 3x3 group convolutions, each with batch norm and relu.

        y = relu(bn_2(conv_2(relu(bn_1(conv_1(x))))))

    Equivariant: L_g on the input becomes L_g on the output.

    Args:
      in_features: channels of the input.
      out_features: channels of the output.
      group: the group H.
      first: the constructor of the first convolution.
      conv: the constructor of the second.
      kernel_init: initialiser of all filters.
      dtype: the type of the computation; inferred by default. Statistics of norms are float32 or wider.
      param_dtype: the type of the parameters.
      precision: of the convolutions, as in `jax.lax.conv_general_dilated`.
      rngs: the random streams.

    Reference: Ronneberger et al. (2015), with batch norm and padded convolutions.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        group: FiniteGroup,
        first: Callable[..., nnx.Module],
        conv: Callable[..., nnx.Module],
        kernel_init: nnx.Initializer,
        dtype: jax.typing.DTypeLike | None = None,
        param_dtype: jax.typing.DTypeLike = jnp.float32,
        precision: jax.lax.PrecisionLike = None,
        rngs: nnx.Rngs,
    ):
        norm = {"group": group, "dtype": dtype, "param_dtype": param_dtype, "rngs": rngs}
        options = {"use_bias": False, "kernel_init": kernel_init, "precision": precision, **norm}
        self.conv1 = first(in_features, out_features, 3, **options)
        self.norm1 = BatchNorm(out_features, **norm)
        self.conv2 = conv(out_features, out_features, 3, **options)
        self.norm2 = BatchNorm(out_features, **norm)

    def __call__(self, x: Array) -> FeatureMap:
        """Maps images or feature maps to feature maps `[batch, *spatial, group, out_features]` of the same sides."""
        return nnx.relu(self.norm2(self.conv2(nnx.relu(self.norm1(self.conv1(x))))))


class UNet(nnx.Module):
    """An encoder that halves the map, a decoder that doubles it again, and a shortcut between maps of equal size.

        e_0 = stage(f),    e_i = stage(pool(e_{i-1})) of width 2^i c,    d_depth = attention(e_depth)
        d_i = stage([e_i, upsample(conv(d_{i+1}))]) of width 2^i c,    y = readout(d_0)

    Equivariant, on images of every size: the output for L_g f is L_g y, for every g that maps the grid to itself. Scores
    of classes move with the image; the components of vectors and tensors turn as well.

    Even sides are padded to a multiple of 2^depth, odd ones to a multiple plus 1, by the same number of copies of the border
    on each side; the output has the size of the image. Antialiased pooling and linear upsampling are symmetric about the
    centre for both kinds of sides, which pooling in blocks is not for odd ones.

    Args:
      group: the group H, of the dimension of the images.
      input_shape: `(*spatial, channels)` of the images; others of any sides may follow. For `input="vectors"` the channels
        are the components of vectors, `dim` for each.
      num_classes: scores at each position; the number of vectors or tensors where the output is one of these.
      features: the width c at full size, in channels for each pose; it doubles with every halving of the map.
      depth: how often the map is halved.
      lifting: the constructor of the first convolution of images, called with `in_features, out_features, kernel_size,
        group=, use_bias=, kernel_init=, dtype=, param_dtype=, precision=, rngs=`.
      conv: the constructor of all others, called alike.
      attention: the constructor of self-attention on the smallest map, such as `functools.partial(GroupSelfAttention,
        num_heads=4, window_size=5)`, in a `PreNormSelfAttentionBlock`; none by default.
      input: "grid" for images, "vectors" for vector fields.
      output: "grid" for scores, "vectors" or "tensors" for fields.
      kernel_init: initialiser of all filters.
      dtype: the type of the computation and of the output; inferred by default. Statistics of norms are float32 or wider.
      param_dtype: the type of the parameters.
      precision: of the convolutions, as in `jax.lax.conv_general_dilated`.
      rngs: the random streams.

    Raises:
      ValueError: if a size is not positive, the input does not fit the group, or a word is unknown.

    Reference: Ronneberger et al. (2015); Çiçek et al. (2016) in three dimensions.

    Example:
      >>> from gequi_jax.groups import cyclic_group
      >>> sizes = {"input_shape": (16, 16, 1), "num_classes": 2, "features": 2, "depth": 1}
      >>> model = UNet(group=cyclic_group(4), rngs=nnx.Rngs(0), **sizes)
      >>> model.eval()
      >>> jax.eval_shape(model, jnp.ones((1, 11, 6, 1))).shape
      (1, 11, 6, 2)
    """

    def __init__(
        self,
        *,
        group: FiniteGroup,
        input_shape: Sequence[int],
        num_classes: int,
        features: int,
        depth: int = 4,
        lifting: Callable[..., nnx.Module] = LiftingConv,
        conv: Callable[..., nnx.Module] = GroupConv,
        attention: Callable[..., nnx.Module] | None = None,
        input: UNetInput = "grid",
        output: UNetOutput = "grid",
        kernel_init: nnx.Initializer = nnx.initializers.he_normal(),
        dtype: jax.typing.DTypeLike | None = None,
        param_dtype: jax.typing.DTypeLike = jnp.float32,
        precision: jax.lax.PrecisionLike = None,
        rngs: nnx.Rngs,
    ):
        check_group(group)
        check_choice("input", input, get_args(UNetInput))
        check_choice("output", output, get_args(UNetOutput))
        features = check_positive_integer("features", features)
        self.group = group
        self.input_shape = check_input_shape(input_shape, group=group)
        self.num_classes = check_positive_integer("num_classes", num_classes)
        self.depth = check_non_negative_integer("depth", depth)
        self.output = output
        widths = [features * 2**level for level in range(depth + 1)]
        types = {"group": group, "dtype": dtype, "param_dtype": param_dtype, "precision": precision, "rngs": rngs}
        options = {"conv": conv, "kernel_init": kernel_init, **types}
        channels = self.input_shape[-1]
        if input == "vectors" and channels % group.dim:
            raise ValueError(
                f"input_shape: expected a number of channels divisible by {group.dim}, the components of the vectors; got "
                f"{channels} in {self.input_shape}."
            )
        self.lift_vectors = VectorLifting(group=group) if input == "vectors" else nnx.data(None)
        first = UNetStage(channels, widths[0], first=conv if input == "vectors" else lifting, **options)
        pairs = list(itertools.pairwise(widths))
        self.encoder = nnx.List([first, *(UNetStage(narrow, wide, first=conv, **options) for narrow, wide in pairs)])
        self.pool = AntialiasedPool(2, group=group)
        self.attention = _attention_block(widths[-1], attention, types)
        one = {"use_bias": False, "kernel_init": kernel_init, **types}
        self.narrow = nnx.List(conv(wide, narrow, 1, **one) for narrow, wide in pairs)
        self.decoder = nnx.List(UNetStage(2 * narrow, narrow, first=conv, **options) for narrow, _ in pairs)
        self.readout = _readout(output, features, self.num_classes, types)

    @property
    def receptive_radius(self) -> int:
        """How far from its own position an output reads, through convolutions, pooling and upsampling.

        Two stages of radius 2, pooling and upsampling of radius 3/2 at every level, in steps of 2^level, and one stage on
        the smallest map: 7 (2^depth - 1) + 2 2^depth. Attention reads further.
        """
        return 9 * 2**self.depth - 7

    def __call__(self, x: Float[Array, "batch *spatial channels"]) -> Array:
        """Maps images or vector fields to scores `[batch, *spatial, num_classes]` or fields `[..., num_classes, dim]`."""
        dim, sides = self.group.dim, x.shape[1:-1]
        if len(sides) != dim or x.shape[-1] != self.input_shape[-1]:
            expected = f"an input of {dim} spatial axes and {self.input_shape[-1]} channels"
            raise ValueError(f"input: expected {expected}, [batch, *spatial, channels]; got shape {x.shape}.")
        x = pad_with_edges(x, ((0, 0), *halving_pads(sides, self.depth), (0, 0)))
        if self.lift_vectors is not None:
            x = self.lift_vectors(x.reshape(*x.shape[:-1], -1, dim))
        maps = [self.encoder[0](x)]
        for stage in self.encoder[1:]:
            maps.append(stage(self.pool(maps[-1])))
        x = maps.pop()
        x = x if self.attention is None else self.attention(x)
        for level in reversed(range(self.depth)):
            x = _upsampled(self.narrow[level](x), maps[level].shape[1 : 1 + dim])
            x = self.decoder[level](jnp.concatenate([maps[level], x], axis=-1))
        y = self.readout(x)
        # The maximum, not the mean: the mean of scores would depend on the means of the last features over poses alone.
        y = pool_over_poses(y, self.num_classes) if self.output == "grid" else y
        return _cropped(y, sides)


def _attention_block(features: int, attention: Callable[..., nnx.Module] | None, types: dict[str, Any]) -> Any:
    if attention is None:
        return nnx.data(None)
    return PreNormSelfAttentionBlock(features, features, attention=attention, **types)


def _readout(output: UNetOutput, features: int, num_classes: int, types: dict[str, Any]) -> nnx.Module:
    if output == "grid":
        return GroupConv(features, num_classes, 1, **types)
    readout = VectorReadout if output == "vectors" else TensorReadout
    return readout(features, num_classes, **types)


def halving_pads(sides: Sequence[int], depth: int) -> list[tuple[int, int]]:
    """As many positions on both sides of every axis as it takes to halve it `depth` times: multiples, or multiples plus 1.

    Args:
      sides: of the image.
      depth: how often the map is halved.
    """
    return [(-(side - side % 2) % 2**depth // 2,) * 2 for side in sides]


def _cropped(y: Array, sides: tuple[int, ...]) -> Array:
    """The middle of a map."""
    for axis, side in enumerate(sides, start=1):
        start = (y.shape[axis] - side) // 2
        y = jax.lax.slice_in_dim(y, start, start + side, axis=axis)
    return y


def _upsampled(x: Array, spatial_shape: tuple[int, ...]) -> Array:
    """The map enlarged to sides that pooling has halved: the positions of odd sides are those of their ends, too."""
    for axis, side in enumerate(spatial_shape):
        shape = list(x.shape[1 : 1 + len(spatial_shape)])
        shape[axis] = side
        x = functional.upsample(x, dim=len(shape), spatial_shape=shape, method="linear", align_corners=side % 2 == 1)
    return x

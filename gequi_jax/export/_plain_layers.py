"""The ordinary layers that equivariant ones become, with axes of poses and channels merged around them."""

import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from flax.nnx.nn.dtypes import promote_dtype

from gequi_jax import functional
from gequi_jax._typing import Array


class PlainConv(nnx.Module):
    """A lifting or group convolution as an `nnx.Conv` of merged poses and channels.

    Args:
      layer: a `LiftingConv`, a `GroupConv`, or an attentive convolution whose attention is applied before.
    """

    def __init__(self, layer: Any):
        bank = jnp.moveaxis(layer.filter_bank(), 0, -2)  # [*window, (in_group,) in_features, out_group, out_features]
        dim, self.out_poses = layer.group.dim, layer.group.order
        inputs = math.prod(bank.shape[dim:-2])
        kernel = bank.reshape(*bank.shape[:dim], inputs, -1)
        self.has_poses = bank.ndim == dim + 4
        # In the form that is fastest on the platform, as in the layer.
        options = {"padding": _pads(layer), "conv_general_dilated": _convolve}
        self.conv = _empty(nnx.Conv, layer, inputs, kernel.shape[-1], **options)
        self.conv.kernel = nnx.Param(kernel)
        if layer.bias is not None:
            self.conv.bias = nnx.Param(jnp.tile(layer.bias[...], self.out_poses))

    def __call__(self, x: Array) -> Array:
        """Maps images or feature maps to feature maps `[batch, *spatial, group, out_features]`."""
        y = self.conv(_merged(x) if self.has_poses else x)
        return _split(y, self.out_poses)


class PlainConvTranspose(nnx.Module):
    """A transposed group convolution as an `nnx.ConvTranspose` of merged poses and channels.

    Args:
      layer: a `GroupConvTranspose`.
    """

    def __init__(self, layer: Any):
        bank = layer.filter_bank()  # [in_group, *window, out_group, in_features, out_features]
        dim, self.out_poses = layer.group.dim, layer.group.order
        # Flax's transposed convolution slides the kernel itself over the input, where this one adds copies of it.
        kernel = jnp.moveaxis(jnp.flip(bank, range(1, 1 + dim)), (0, -2), (dim, dim + 1))
        sizes = tuple(self.out_poses * features for features in (layer.in_features, layer.out_features))
        kernel = kernel.reshape(*layer.kernel_shape, *sizes)
        spans = (layer.kernel_dilation * (side - 1) for side in layer.kernel_shape)
        pads = [(span - before, span - after) for span, (before, after) in zip(spans, _pads(layer), strict=True)]
        self.conv = _empty(nnx.ConvTranspose, layer, *sizes, padding=pads)
        self.conv.kernel = nnx.Param(kernel)
        if layer.bias is not None:
            self.conv.bias = nnx.Param(jnp.tile(layer.bias[...], self.out_poses))

    def __call__(self, x: Array) -> Array:
        """Maps feature maps to feature maps `[batch, *spatial, group, out_features]`."""
        return _split(self.conv(_merged(x)), self.out_poses)


class PlainAttentiveConv(nnx.Module):
    """Attention to the input, then an `nnx.Conv`.

    Args:
      layer: an attentive convolution that attends to its input.
    """

    def __init__(self, layer: Any):
        self.conv = PlainConv(layer)
        self.attention, self.group = layer.attention, layer.group
        self.residual, self.dtype = layer.residual, layer.dtype
        self.attention_params = nnx.data(layer.attention_params)

    def __call__(self, x: Array) -> Array:
        """Maps images or feature maps to feature maps `[batch, *spatial, group, out_features]`."""
        variables, structure = jax.tree.flatten(
            self.attention_params, is_leaf=lambda leaf: isinstance(leaf, nnx.Variable)
        )
        leaves = [variable[...] for variable in variables]
        x, *leaves = promote_dtype((x, *leaves), dtype=self.dtype)
        signal = x if self.conv.has_poses else x[..., None, :]
        params = jax.tree.unflatten(structure, leaves)
        maps = functional.as_maps(self.attention(signal, params, group=self.group))
        alpha = math.prod(maps[1:], start=maps[0])
        signal = signal - alpha * signal if self.residual else alpha * signal
        return self.conv(signal if self.conv.has_poses else signal[..., 0, :])


class PlainSelfAttention(nnx.Module):
    """Self-attention in windows with its encodings as tables.

    Args:
      layer: a `LiftingSelfAttention` or `GroupSelfAttention` with a window.
    """

    def __init__(self, layer: Any):
        self.query, self.key, self.value, self.out = layer.query, layer.key, layer.value, layer.out
        encoding = functional.transformed_position_encodings(
            layer.position_encoding, group=layer.group, window_shape=layer.window_shape, dtype=layer.param_dtype
        )
        self.position_encoding = nnx.Param(encoding)
        self.group, self.window_shape, self.window_mask = layer.group, layer.window_shape, layer.window_mask
        self.implementation = layer.implementation
        self.pose_index = getattr(layer, "pose_index", None)
        self.pose_encoding = layer.pose_encoding if self.pose_index else nnx.data(None)

    def __call__(self, x: Array) -> Array:
        """Maps images or feature maps to feature maps `[batch, *spatial, group, out_features]`."""
        query, key, value = self.query(x), self.key(x), self.value(x)
        place = self.position_encoding[...].astype(query.dtype)
        options: dict[str, Any] = {
            "group": self.group,
            "window_size": self.window_shape,
            "window_mask": jnp.asarray(self.window_mask) if isinstance(self.window_mask, tuple) else self.window_mask,
            "implementation": self.implementation,
        }
        if self.pose_index is None:
            return self.out(functional.lifting_self_attention(query, key, value, place, **options))
        assert self.pose_encoding is not None
        poses = self.pose_encoding[...].astype(query.dtype)
        options["pose_index"] = self.pose_index(self.group)
        return self.out(functional.group_self_attention(query, key, value, place, poses, **options))


class PlainLinear(nnx.Module):
    """A linear map of poses and channels as an `nnx.Linear`.

    Args:
      layer: a `GroupLinear`.
    """

    def __init__(self, layer: Any):
        group = layer.group
        relative = group.cayley_table[group.inverses]  # [h, m] -> h^-1 m
        kernel = jnp.transpose(layer.kernel[...][relative], (1, 2, 0, 3))  # [m, in, h, out]
        sizes = (group.order * layer.in_features, group.order * layer.out_features)
        self.out_poses = group.order
        types = {"dtype": layer.dtype, "precision": layer.precision, "use_bias": layer.bias is not None}
        self.linear = nnx.eval_shape(lambda: nnx.Linear(*sizes, **types, rngs=nnx.Rngs(0)))
        self.linear.kernel = nnx.Param(kernel.reshape(sizes))
        if layer.bias is not None:
            self.linear.bias = nnx.Param(jnp.tile(layer.bias[...], group.order))

    def __call__(self, x: Array) -> Array:
        """Maps `[..., group, in_features]` to `[..., group, out_features]`."""
        return _split(self.linear(_merged(x)), self.out_poses)


class PlainBatchNorm(nnx.Module):
    """A batch norm with recorded statistics: y = (x - mean) factor + bias.

    Args:
      layer: a `BatchNorm`.
    """

    def __init__(self, layer: Any):
        self.dtype = layer.dtype
        self.mean = nnx.Param(layer.mean[...])
        self.factor = nnx.Param(layer.scale[...] * jax.lax.rsqrt(layer.var[...] + layer.epsilon))
        self.bias = nnx.Param(layer.bias[...])

    def __call__(self, x: Array) -> Array:
        """Maps images or feature maps to normalised ones of the same shape."""
        out_type = x.dtype if self.dtype is None else self.dtype
        shape = (1,) * (x.ndim - 1) + (-1,)
        wide, mean, factor, bias = promote_dtype((x, self.mean[...], self.factor[...], self.bias[...]))
        y = (wide - mean.reshape(shape)) * factor.reshape(shape) + bias.reshape(shape)
        return y.astype(out_type)


class PlainLayerNorm(nnx.Module):
    """A layer norm over fixed axes: y = scale (x - mean) / sqrt(var + epsilon) + bias.

    Args:
      layer: a `LayerNorm` or `ChannelNorm`.
    """

    def __init__(self, layer: Any):
        self.axes, self.epsilon, self.dtype = layer.reduction_axes, layer.epsilon, layer.dtype
        self.scale, self.bias = layer.scale, layer.bias

    def __call__(self, x: Array) -> Array:
        """Maps images or feature maps to normalised ones of the same shape."""
        out_type = x.dtype if self.dtype is None else self.dtype
        shape = (1,) * (x.ndim - 1) + (-1,)
        wide, scale, bias = promote_dtype((x, self.scale[...], self.bias[...]))
        centred = wide - wide.mean(axis=self.axes, keepdims=True)
        factor = jax.lax.rsqrt(jnp.square(centred).mean(axis=self.axes, keepdims=True) + self.epsilon)
        y = centred * (factor * scale.reshape(shape)) + bias.reshape(shape)
        return y.astype(out_type)


class PlainIdentity(nnx.Module):
    """What is left of dropout when a network is evaluated: nothing."""

    def __call__(self, x: Array) -> Array:
        """Returns its input."""
        return x


def _pads(layer: Any) -> list[tuple[int, int]]:
    """The zeros before and after each axis."""
    return functional.resolve_padding(
        tuple((side - 1) * layer.kernel_dilation + 1 for side in layer.kernel_shape),
        layer.kernel_shape,
        strides=1,
        padding=layer.padding,
        kernel_dilation=layer.kernel_dilation,
        allow_inequivariant=True,
    )


def _convolve(
    x: Array,
    kernel: Array,
    strides: Sequence[int],
    padding: Sequence[tuple[int, int]],
    *,
    rhs_dilation: Sequence[int],
    precision: jax.lax.PrecisionLike,
    **_: Any,
) -> Array:
    """`jax.lax.conv_general_dilated` with the arguments that a plain convolution needs."""
    sampling = functional.Sampling(strides[0], tuple(padding), rhs_dilation[0])
    return functional.convolve(x, kernel, sampling, precision=precision)


def _empty(constructor: type, layer: Any, in_features: int, out_features: int, **options: Any) -> Any:
    """An `nnx.Conv` or `nnx.ConvTranspose` with the sizes of a layer, whose arrays are to be set."""
    return nnx.eval_shape(
        lambda: constructor(
            in_features,
            out_features,
            layer.kernel_shape,
            strides=layer.strides,
            kernel_dilation=layer.kernel_dilation,
            use_bias=layer.bias is not None,
            dtype=layer.dtype,
            precision=layer.precision,
            rngs=nnx.Rngs(0),
            **options,
        )
    )


def _merged(x: Array) -> Array:
    return x.reshape(*x.shape[:-2], x.shape[-2] * x.shape[-1])


def _split(y: Array, poses: int) -> Array:
    return y.reshape(*y.shape[:-1], poses, y.shape[-1] // poses)

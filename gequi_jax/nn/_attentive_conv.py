"""Attentive lifting and group convolution layers."""

import functools
from collections.abc import Callable
from typing import Any

import jax
from flax import nnx

from gequi_jax import functional
from gequi_jax._checks import check_positive_integer
from gequi_jax._typing import Array, FeatureMap, Grid, OutFeatureMap
from gequi_jax.groups import FiniteGroup
from gequi_jax.nn import _attention_operators as operators
from gequi_jax.nn._conv import _Conv
from gequi_jax.nn._intermediates import are_captured

ATTENTIONS = ("full", "channel", "spatial", "input", "rh")


class _AttentiveConv(_Conv):
    """What the two layers share: the operator, its parameters and the call."""

    def __init__(
        self,
        in_features: int,
        out_features: int,
        kernel_size: int,
        *,
        group: FiniteGroup,
        attention: str | Any = "full",
        reduction_ratio: int | None = None,
        hidden_features: int | None = None,
        attention_kernel_size: int = 7,
        attention_kernel_dilation: int = 1,
        residual: bool = True,
        block_size: int | None = None,
        rngs: nnx.Rngs,
        **options: Any,
    ):
        super().__init__(in_features, out_features, kernel_size, group=group, rngs=rngs, **options)
        if block_size is not None:
            check_positive_integer("block_size", block_size)
        check_positive_integer("attention_kernel_size", attention_kernel_size)
        check_positive_integer("attention_kernel_dilation", attention_kernel_dilation)
        if isinstance(attention, str):
            attention = _operator(
                attention,
                reduction_ratio=_reduction_ratio(in_features, reduction_ratio),
                hidden_features=hidden_features,
                kernel_size=attention_kernel_size,
                kernel_dilation=attention_kernel_dilation,
            )
        missing = [name for name in ("attends_to", "init", "__call__") if not hasattr(attention, name)]
        if missing:
            raise ValueError(
                f"attention: expected one of {ATTENTIONS}, or an operator such as gequi_jax.nn.ChannelAttention; "
                f"got {attention!r}, which has no {' and no '.join(missing)}."
            )
        try:
            hash(attention)
        except TypeError as error:
            raise ValueError(
                "attention: expected an operator that can be hashed, such as a frozen dataclass of tuples, since it is a "
                f"static part of the layer; got {attention!r}."
            ) from error
        self.attention = attention
        self.residual = residual
        self.block_size = block_size
        params = self._attention_params(rngs.params(), options.get("kernel_init", nnx.initializers.lecun_normal()))
        self.attention_params = nnx.data(jax.tree.map(nnx.Param, params))

    def attention_maps(self, x: Array) -> functional.Maps:
        """The maps alpha for an input, one for each operator in series, as `return_maps` of the functional form.

        The signal is multiplied by 1 minus their product, so that a large value suppresses; by the product itself with
        `residual=False`. Inside `nnx.capture(..., nnx.Intermediate)` every call of the layer sows them as "attention".
        """
        return self._attend(x, return_maps=True)[1]

    def _call(self, x: Array) -> Array:
        if not are_captured(self):
            return self._attend(x)
        y, maps = self._attend(x, return_maps=True)
        self.sow(nnx.Intermediate, "attention", maps)
        return y

    def _attention_params(self, key: Array, kernel_init: nnx.Initializer):
        poses = self._poses()
        sizes = {
            "in_features": self.in_features,
            "in_poses": poses[0] if poses else 1,
            "dim": self.group.dim,
            "kernel_init": kernel_init,
            "dtype": self.kernel.dtype,
        }
        channels = self.out_features if self.attention.attends_to == "responses" else None
        return _initial_params(key, attention=self.attention, channels=channels, **sizes)

    def _function(self) -> Callable[..., Any]:
        raise NotImplementedError

    def _attend(self, x: Array, *, return_maps: bool = False):
        params = jax.tree.map(
            lambda param: param[...], self.attention_params, is_leaf=lambda leaf: isinstance(leaf, nnx.Variable)
        )
        leaves, structure = jax.tree.flatten(params)
        x, kernel, bias, *leaves = nnx.nn.dtypes.promote_dtype(
            (x, self.kernel[...], None if self.bias is None else self.bias[...], *leaves), dtype=self.dtype
        )
        y = self._function()(
            x,
            kernel,
            jax.tree.unflatten(structure, leaves),
            group=self.group,
            attention=self.attention,
            residual=self.residual,
            strides=self.strides,
            padding=self.padding,
            kernel_dilation=self.kernel_dilation,
            window_mask=None if self.window_mask is None else self.window_mask((self.kernel_size,) * self.group.dim),
            allow_inequivariant=self.allow_inequivariant,
            block_size=self.block_size,
            return_maps=return_maps,
            precision=self.precision,
        )
        y, maps = y if return_maps else (y, ())
        y = y if bias is None else y + bias.reshape((1,) * (y.ndim - 1) + (-1,))
        return (y, maps) if return_maps else y


class AttentiveLiftingConv(_AttentiveConv):
    """Convolution from images to feature maps on the group, modulated by attention.

        [f * psi](x, h) = sum_c (1 - alpha_c(x, h)) sum_y f_c(y) psi_c(h^-1 (y - x)) + bias

    Equivariant: L_g on the input becomes L_g on the output, for every operator that satisfies Theorem 1.

    Args:
      in_features: channels of the input.
      out_features: channels of the output.
      kernel_size: the side of the kernel.
      group: the group H.
      attention: an operator, or the name of one of the paper: "full" (alpha: channel, then spatial attention of the
        responses), "channel" (alpha_CH), "spatial" (alpha_SP), "input" (alpha_F: channel, then spatial attention of the
        input) or "rh" (alpha_RH: attention of the input over its poses).
      reduction_ratio: r of channel attention, with `in_features // r` hidden units; 2 by default, 1 for a single input
        channel.
      hidden_features: the hidden units themselves, in place of a ratio.
      attention_kernel_size, attention_kernel_dilation: of the filter of spatial attention.
      residual: multiply by 1 - alpha (section 3.3); otherwise by alpha.
      block_size: output channels worked on at once, as in `gequi_jax.functional.attentive_lifting_conv`.
      rngs: the random streams.
      **options: those of `LiftingConv`: strides, padding, kernel_dilation, window_mask, use_bias, allow_inequivariant,
        dtype, param_dtype, precision, kernel_init (of the filters of attention too), bias_init.

    Raises:
      ValueError: if sizes are not positive, the padding or strides break equivariance, the reduction ratio leaves no
        hidden unit, or the attention has no such name.

    Reference: Romero et al. (2020), Eqs. 14 to 20.

    Example:
      >>> import jax.numpy as jnp
      >>> from gequi_jax.groups import cyclic_group
      >>> layer = AttentiveLiftingConv(3, 8, 3, group=cyclic_group(4), attention="input", rngs=nnx.Rngs(0))
      >>> layer(jnp.ones((2, 9, 9, 3))).shape
      (2, 9, 9, 4, 8)
    """

    def _poses(self) -> tuple[int, ...]:
        return ()

    def _function(self) -> Callable[..., Any]:
        return functional.attentive_lifting_conv

    def __call__(self, x: Grid) -> OutFeatureMap:
        """Maps images `[batch, *spatial, in_features]` to `[batch, *spatial, group, out_features]`."""
        return self._call(x)


class AttentiveGroupConv(_AttentiveConv):
    """Convolution from feature maps on the group to feature maps on the group, modulated by attention.

        [f * psi](x, h) = sum_c sum_m (1 - alpha_c(x, h, m)) sum_y f_c(y, m) psi_c(h^-1 (y - x), h^-1 m) + bias

    Equivariant: L_g on the input becomes L_g on the output, for every operator that satisfies Theorem 1.

    The arguments are those of `AttentiveLiftingConv`; the kernel is `[*window, group, in_features, out_features]`.

    Raises:
      ValueError: if sizes are not positive, the padding or strides break equivariance, the reduction ratio leaves no
        hidden unit, or the attention has no such name.

    Reference: Romero et al. (2020), Eqs. 14 to 20.

    Example:
      >>> import jax.numpy as jnp
      >>> from gequi_jax.groups import dihedral_group
      >>> layer = AttentiveGroupConv(4, 8, 3, group=dihedral_group(4), rngs=nnx.Rngs(0))
      >>> layer(jnp.ones((2, 9, 9, 8, 4))).shape
      (2, 9, 9, 8, 8)
      >>> [one_map.shape for one_map in layer.attention_maps(jnp.ones((2, 9, 9, 8, 4)))]
      [(2, 1, 1, 8, 8, 4, 8), (2, 9, 9, 8, 8, 1, 8)]
    """

    def _poses(self) -> tuple[int, ...]:
        return (self.group.order,)

    def _function(self) -> Callable[..., Any]:
        return functional.attentive_group_conv

    def __call__(self, x: FeatureMap) -> OutFeatureMap:
        """Maps `[batch, *spatial, group, in_features]` to `[batch, *spatial, group, out_features]`."""
        return self._call(x)


_STATIC = ("attention", "channels", "in_features", "in_poses", "dim", "kernel_init", "dtype")


@functools.partial(jax.jit, static_argnames=_STATIC)
def _initial_params(key: Array, *, attention: Any, channels: int | None, **sizes: Any):
    """The parameters of an operator, for a layer or for each of its output channels."""
    if channels is None:
        return attention.init(key, **sizes)
    return jax.vmap(lambda one_key: attention.init(one_key, **sizes))(jax.random.split(key, channels))


def _operator(name: str, *, reduction_ratio, hidden_features, kernel_size, kernel_dilation):
    layers = {"reduction_ratio": reduction_ratio, "hidden_features": hidden_features}
    window = {"kernel_size": kernel_size, "kernel_dilation": kernel_dilation}
    match name:
        case "channel":
            return operators.ChannelAttention(**layers)
        case "spatial":
            return operators.SpatialAttention(**window)
        case "full":
            channel, spatial = operators.ChannelAttention(**layers), operators.SpatialAttention(**window)
        case "input":
            channel, spatial = operators.InputChannelAttention(**layers), operators.InputSpatialAttention(**window)
        case "rh":
            return operators.InputPoseAttention()
        case _:
            raise ValueError(f"attention: expected one of {ATTENTIONS}, or an operator; got {name!r}.")
    return operators.SeriesAttention((("channel", channel), ("spatial", spatial)))


def _reduction_ratio(in_features: int, reduction_ratio: int | None) -> int:
    if reduction_ratio is None:
        return min(2, in_features)
    check_positive_integer("reduction_ratio", reduction_ratio)
    return reduction_ratio

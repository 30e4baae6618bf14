"""Attentive lifting and group convolution layers."""

import functools
from collections.abc import Callable, Sequence
from typing import Any, Literal

import jax
import jax.numpy as jnp
from flax import nnx

from gequi_jax import functional
from gequi_jax._checks import check_choice, check_positive_integer
from gequi_jax._typing import Array, FeatureMap, Grid, OutFeatureMap
from gequi_jax.groups import FiniteGroup
from gequi_jax.nn import _attention_operators as operators
from gequi_jax.nn._bias import with_bias
from gequi_jax.nn._conv import ConvBase
from gequi_jax.nn._intermediates import are_captured

ATTENTIONS = ("full", "channel", "spatial", "input", "rh")
Attention = Literal["full", "channel", "spatial", "input", "rh"]


class _AttentiveConv(ConvBase):
    """What the two layers share: the operator, its parameters and the call."""

    # The function of the layer.
    _convolution: Callable[..., Any]

    def __init__(
        self,
        in_features: int,
        out_features: int,
        kernel_size: int | Sequence[int],
        *,
        group: FiniteGroup,
        attention: Attention | Any = "full",
        reduction_ratio: int | None = None,
        hidden_features: int | None = None,
        attention_kernel_size: int = 7,
        attention_kernel_dilation: int = 1,
        residual: bool = True,
        block_size: int | None = None,
        strides: int = 1,
        padding: functional.Padding = "SAME",
        kernel_dilation: int = 1,
        window_mask: functional.WindowMask | None = None,
        use_bias: bool = True,
        allow_inequivariant: bool = False,
        dtype: jax.typing.DTypeLike | None = None,
        param_dtype: jax.typing.DTypeLike = jnp.float32,
        precision: jax.lax.PrecisionLike = None,
        kernel_init: nnx.Initializer = nnx.initializers.lecun_normal(),
        bias_init: nnx.Initializer = nnx.initializers.zeros_init(),
        rngs: nnx.Rngs,
    ):
        super().__init__(
            in_features,
            out_features,
            kernel_size,
            group=group,
            strides=strides,
            padding=padding,
            kernel_dilation=kernel_dilation,
            window_mask=window_mask,
            use_bias=use_bias,
            allow_inequivariant=allow_inequivariant,
            dtype=dtype,
            param_dtype=param_dtype,
            precision=precision,
            kernel_init=kernel_init,
            bias_init=bias_init,
            rngs=rngs,
        )
        layers = _layer_sizes(self.in_features, reduction_ratio, hidden_features)
        window = _window_sizes(attention_kernel_size, attention_kernel_dilation)
        self.attention = _operator(attention, layers, window) if isinstance(attention, str) else attention
        _check_operator(self.attention)
        self.residual = residual
        self.block_size = _optional_positive_integer("block_size", block_size)
        self.attention_params = nnx.data(jax.tree.map(nnx.Param, self._attention_params(rngs.params(), kernel_init)))

    def attention_maps(self, x: Array) -> functional.Maps:
        """The maps alpha for an input, one for each operator in series, as `return_maps` of the functional form.

        The signal is multiplied by 1 minus their product, so that a large value suppresses; by the product itself with
        `residual=False`. Inside `nnx.capture(..., nnx.Intermediate)` every call of the layer sows them as "attention".
        """
        return self._attend(x, return_maps=True)[1]

    def _call(self, x: Array) -> Array:
        if not are_captured(self):
            return self._attend(x)[0]
        y, maps = self._attend(x, return_maps=True)
        self.sow(nnx.Intermediate, "attention", maps)
        return y

    def _attention_params(self, key: Array, kernel_init: nnx.Initializer):
        sizes = {
            "in_features": self.in_features,
            "in_poses": self.group.order if self._reads_feature_maps else 1,
            "dim": self.group.dim,
            "kernel_init": kernel_init,
            "dtype": self.kernel.dtype,
        }
        channels = self.out_features if self.attention.attends_to == "responses" else None
        return _initial_params(key, attention=self.attention, channels=channels, **sizes)

    def _attend(self, x: Array, *, return_maps: bool = False) -> tuple[Array, functional.Maps]:
        params = jax.tree.map(
            lambda param: param[...], self.attention_params, is_leaf=lambda leaf: isinstance(leaf, nnx.Variable)
        )
        leaves, structure = jax.tree.flatten(params)
        x, kernel, bias, *leaves = self._promoted(x, *leaves)
        result = self._convolution(
            x,
            kernel,
            jax.tree.unflatten(structure, leaves),
            attention=self.attention,
            residual=self.residual,
            block_size=self.block_size,
            return_maps=return_maps,
            **self._options(),
        )
        y, maps = result if return_maps else (result, ())
        return with_bias(y, bias), maps


class AttentiveLiftingConv(_AttentiveConv):
    """Convolution from images to feature maps on the group, modulated by attention.

        [f * psi](x, h) = sum_c (1 - alpha_c(x, h)) sum_y f_c(y) psi_c(h^-1 (y - x)) + bias

    Equivariant: L_g on the input becomes L_g on the output, for every operator that satisfies Theorem 1.

    Args:
      in_features: channels of the input.
      out_features: channels of the output.
      kernel_size: the side of the kernel, or one side for each axis where the group does not exchange the axes.
      group: the group H.
      attention: an operator, or the name of one of the paper: "full" (alpha: channel, then spatial attention of the
        responses), "channel" (alpha_CH), "spatial" (alpha_SP), "input" (alpha_F: channel, then spatial attention of the
        input) or "rh" (alpha_RH: attention of the input over its poses).
      reduction_ratio: r of channel attention, with `in_features // r` hidden units; 2 by default, 1 for a single input
        channel.
      hidden_features: the hidden units themselves, in place of a ratio.
      attention_kernel_size: the odd side of the filter of spatial attention.
      attention_kernel_dilation: the step between neighbouring entries of that filter.
      residual: multiply by 1 - alpha (section 3.3); otherwise by alpha.
      block_size: output channels computed at once, as in `gequi_jax.functional.attentive_lifting_conv`.
      strides: the step between output positions, along every axis.
      padding: zeros added on each side of every axis; "SAME" keeps the size, "VALID" adds none.
      kernel_dilation: the step between neighbouring kernel entries.
      window_mask: the offsets of the kernel that take part, all by default: a mask of the shape of the kernel, or a function
        from that shape to a mask, such as `gequi_jax.actions.round_window` for groups that rotate by less than 90 degrees.
      use_bias: adds one bias for each output channel.
      allow_inequivariant: accept strides, padding and kernel shapes that break the symmetry.
      dtype: the type of the computation; inferred by default.
      param_dtype: the type of the parameters.
      precision: as in `jax.lax.conv_general_dilated`.
      kernel_init: initialiser of the kernel, `[*window, in_features, out_features]`, and of the filters of attention.
      bias_init: initialiser of the bias.
      rngs: the random streams.

    Raises:
      ValueError: if a size is not positive, the kernel, the padding or the strides break equivariance, the reduction ratio leaves no
        hidden unit, or the attention is unknown; when called, if the input does not fit the group or `in_features`.

    Reference: Romero et al. (2020), Eqs. 14 to 20.

    Example:
      >>> import jax.numpy as jnp
      >>> from gequi_jax.groups import cyclic_group
      >>> layer = AttentiveLiftingConv(3, 8, 3, group=cyclic_group(4), attention="input", rngs=nnx.Rngs(0))
      >>> layer(jnp.ones((2, 9, 9, 3))).shape
      (2, 9, 9, 4, 8)
    """

    _reads_feature_maps = False
    _convolution = staticmethod(functional.attentive_lifting_conv)

    def __call__(self, x: Grid) -> OutFeatureMap:
        """Maps images `[batch, *spatial, in_features]` to `[batch, *spatial, group, out_features]`."""
        return self._call(x)


class AttentiveGroupConv(_AttentiveConv):
    """Convolution from feature maps on the group to feature maps on the group, modulated by attention.

        [f * psi](x, h) = sum_c sum_m (1 - alpha_c(x, h, m)) sum_y f_c(y, m) psi_c(h^-1 (y - x), h^-1 m) + bias

    Equivariant: L_g on the input becomes L_g on the output, for every operator that satisfies Theorem 1.

    Args:
      in_features: channels of the input.
      out_features: channels of the output.
      kernel_size: the side of the kernel, or one side for each axis where the group does not exchange the axes.
      group: the group H.
      attention: an operator, or the name of one of the paper: "full" (alpha: channel, then spatial attention of the
        responses), "channel" (alpha_CH), "spatial" (alpha_SP), "input" (alpha_F: channel, then spatial attention of the
        input) or "rh" (alpha_RH: attention of the input over its poses).
      reduction_ratio: r of channel attention, with `in_features // r` hidden units; 2 by default, 1 for a single input
        channel.
      hidden_features: the hidden units themselves, in place of a ratio.
      attention_kernel_size: the odd side of the filter of spatial attention.
      attention_kernel_dilation: the step between neighbouring entries of that filter.
      residual: multiply by 1 - alpha (section 3.3); otherwise by alpha.
      block_size: output channels computed at once, as in `gequi_jax.functional.attentive_group_conv`.
      strides: the step between output positions, along every axis.
      padding: zeros added on each side of every axis; "SAME" keeps the size, "VALID" adds none.
      kernel_dilation: the step between neighbouring kernel entries.
      window_mask: the offsets of the kernel that take part, all by default: a mask of the shape of the kernel, or a function
        from that shape to a mask, such as `gequi_jax.actions.round_window` for groups that rotate by less than 90 degrees.
      use_bias: adds one bias for each output channel.
      allow_inequivariant: accept strides, padding and kernel shapes that break the symmetry.
      dtype: the type of the computation; inferred by default.
      param_dtype: the type of the parameters.
      precision: as in `jax.lax.conv_general_dilated`.
      kernel_init: initialiser of the kernel, `[*window, group, in_features, out_features]`, and of the filters of attention.
      bias_init: initialiser of the bias.
      rngs: the random streams.

    Raises:
      ValueError: if a size is not positive, the kernel, the padding or the strides break equivariance, the reduction ratio leaves no
        hidden unit, or the attention is unknown; when called, if the input does not fit the group or `in_features`.

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

    _convolution = staticmethod(functional.attentive_group_conv)

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


def _operator(name: str, layers: dict[str, Any], window: dict[str, Any]) -> Any:
    """The operator of a name of the paper, with the sizes of its networks and of its filters."""
    check_choice("attention", name, ATTENTIONS)
    if name == "channel":
        return operators.ChannelAttention(**layers)
    if name == "spatial":
        return operators.SpatialAttention(**window)
    if name == "rh":
        return operators.InputPoseAttention()
    if name == "full":
        channel, spatial = operators.ChannelAttention(**layers), operators.SpatialAttention(**window)
    else:
        channel, spatial = operators.InputChannelAttention(**layers), operators.InputSpatialAttention(**window)
    return operators.SeriesAttention((("channel", channel), ("spatial", spatial)))


def _check_operator(attention: Any) -> None:
    missing = [name for name in ("attends_to", "init", "__call__") if not hasattr(attention, name)]
    if missing:
        raise ValueError(
            f"attention: expected one of {', '.join(map(repr, ATTENTIONS))}, or an operator such as "
            f"gequi_jax.nn.ChannelAttention; got {attention!r}, which has no {' and no '.join(missing)}."
        )
    try:
        hash(attention)
    except TypeError as error:
        raise ValueError(
            "attention: expected an operator that can be hashed, such as a frozen dataclass of tuples, since it is a "
            f"static part of the layer; got {attention!r}."
        ) from error


def _layer_sizes(in_features: int, reduction_ratio: int | None, hidden_features: int | None) -> dict[str, Any]:
    ratio = min(2, in_features) if reduction_ratio is None else reduction_ratio
    return {
        "reduction_ratio": check_positive_integer("reduction_ratio", ratio),
        "hidden_features": _optional_positive_integer("hidden_features", hidden_features),
    }


def _window_sizes(kernel_size: int, kernel_dilation: int) -> dict[str, Any]:
    return {
        "kernel_size": check_positive_integer("attention_kernel_size", kernel_size),
        "kernel_dilation": check_positive_integer("attention_kernel_dilation", kernel_dilation),
    }


def _optional_positive_integer(argument: str, value: int | None) -> int | None:
    return None if value is None else check_positive_integer(argument, value)

"""Attention operators: objects that say which parameters a map of attention has, and compute it.

Anything with the same three members is an operator:

* `attends_to`: "responses" or "input", which signal it reads (see `gequi_jax.functional.channel_attention` and
  `input_channel_attention` for the two signals);
* `init(key, *, in_features, in_poses, dim, kernel_init, dtype)`: its parameters, a tree of arrays, for one output channel
  if it attends to responses, for the whole layer otherwise; `kernel_init` is the initialiser of filters of the layer;
* `operator(signal, params, *, group)`: the map alpha, of values in [0, 1] with axes that broadcast to the signal, or a
  tuple of such maps whose product is alpha.

An attentive convolution with an operator is equivariant if and only if alpha transforms as its signal does (Theorem 1),
which `gequi_jax.testing.assert_attention_equivariant` checks. `gequi_jax.functional.attentive_group_conv` also accepts a
plain function of `(signal, params, *, group)`, which attends to responses.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from gequi_jax import functional
from gequi_jax._typing import Array
from gequi_jax.functional import Maps, as_maps
from gequi_jax.groups import FiniteGroup

Params = Mapping[str, Any]

_KERNEL_INIT = jax.nn.initializers.lecun_normal()
# What enters a sigmoid starts at a tenth of what a convolution would yield, so that large activations do not saturate it:
# there, gradients vanish and rounding decides.
_START = 0.1
_STATISTICS: tuple[functional.Statistic, ...] = ("mean", "max")


@dataclasses.dataclass(frozen=True)
class _ChannelAttention:
    """What channel attention of responses and of an input share: two layers with a hidden one between them."""

    reduction_ratio: int = 2
    hidden_features: int | None = None
    statistics: tuple[functional.Statistic, ...] = _STATISTICS
    attends_to: ClassVar[str]

    def init(
        self, key: Array, *, in_features: int, in_poses: int, dim: int, kernel_init=_KERNEL_INIT, dtype=jnp.float32
    ) -> Params:
        """Its two layers, `w1` and `w2`.

        Raises:
          ValueError: if the reduction ratio leaves no hidden unit.
        """
        hidden = self._hidden(in_features)
        # What the published layers have, by PyTorch's rule for their arrays: uniform, of variance 1 / (3 fan), where the
        # fan of layers for responses counts hidden units, channels and poses alike. That makes those small enough; the
        # last layer for an input starts at a tenth.
        on_responses = self.attends_to == "responses"
        fans = (hidden * in_features,) * 2 if on_responses else (in_features, hidden)
        shapes = ((in_poses, in_features, hidden), (in_poses, hidden, in_features))
        layers = {}
        for name, one_key, fan, shape in zip(("w1", "w2"), jax.random.split(key), fans, shapes, strict=True):
            bound = (fan * in_poses) ** -0.5 * (_START if name == "w2" and not on_responses else 1.0)
            layers[name] = jax.random.uniform(one_key, shape, dtype, -bound, bound)
        return layers

    def _hidden(self, in_features: int) -> int:
        hidden = self.hidden_features
        if hidden is None:
            hidden = in_features // self.reduction_ratio if self.reduction_ratio >= 1 else 0
            if hidden < 1:
                raise ValueError(
                    f"reduction_ratio: {self.reduction_ratio} leaves no hidden unit of {in_features} in_features; "
                    f"expected a ratio from 1 to {in_features}."
                )
        if hidden < 1:
            raise ValueError(f"hidden_features: expected a positive integer; got {hidden!r}.")
        return hidden


@dataclasses.dataclass(frozen=True)
class _SpatialAttention:
    """What spatial attention of responses and of an input share: a filter of statistics."""

    kernel_size: int = 7
    kernel_dilation: int = 1
    statistics: tuple[functional.Statistic, ...] = _STATISTICS

    def init(
        self, key: Array, *, in_features: int, in_poses: int, dim: int, kernel_init=_KERNEL_INIT, dtype=jnp.float32
    ) -> Params:
        """Its filter, `kernel`.

        Raises:
          ValueError: if the side of the filter is not odd.
        """
        if self.kernel_size < 1 or self.kernel_size % 2 == 0:
            raise ValueError(
                f"kernel_size: a map of attention has the size of its signal, for which the side of its filter must be "
                f"odd; got {self.kernel_size!r}."
            )
        window = (self.kernel_size,) * dim
        statistics = len(self.statistics)
        kernel = _START * kernel_init(key, (*window, in_poses * statistics, 1), dtype)
        return {"kernel": kernel.reshape(*window, in_poses, statistics)}


@dataclasses.dataclass(frozen=True)
class ChannelAttention(_ChannelAttention):
    """Channel attention of responses, see `gequi_jax.functional.channel_attention`.

    Attributes:
      reduction_ratio: r; the network has `in_features // r` hidden units.
      hidden_features: the hidden units themselves, in place of a ratio.
      statistics: the statistics over positions.
      pose_action: the matrix that each pair of poses uses; h^-1 m by default.

    Reference: Romero et al. (2020), Eq. 17.
    """

    pose_action: functional.PoseAction = functional.regular_action
    attends_to: ClassVar[str] = "responses"

    def __call__(self, signal: Array, params: Params, *, group: FiniteGroup) -> Array:
        """The map of responses `[batch, *spatial, out_group, in_poses, channels]`."""
        return functional.channel_attention(
            signal,
            params["w1"],
            params["w2"],
            group=group,
            statistics=self.statistics,
            pose_action=self.pose_action,
        )

    def response_attention(self, params: Params) -> functional.ResponseAttention | None:
        """These maps as functional code can stream them; None with other statistics or another pose action."""
        if self.statistics != _STATISTICS or self.pose_action is not functional.regular_action:
            return None
        return functional.ResponseAttention(channel=(params["w1"], params["w2"]))


@dataclasses.dataclass(frozen=True)
class SpatialAttention(_SpatialAttention):
    """Spatial attention of responses, see `gequi_jax.functional.spatial_attention`.

    Attributes:
      kernel_size: the odd side of the filter.
      kernel_dilation: the step between neighbouring filter entries.
      statistics: the statistics over channels.

    Reference: Romero et al. (2020), Eq. 18.
    """

    attends_to: ClassVar[str] = "responses"

    def __call__(self, signal: Array, params: Params, *, group: FiniteGroup) -> Array:
        """The map of responses `[batch, *spatial, out_group, in_poses, channels]`."""
        return functional.spatial_attention(
            signal,
            params["kernel"],
            group=group,
            kernel_dilation=self.kernel_dilation,
            statistics=self.statistics,
        )

    def response_attention(self, params: Params) -> functional.ResponseAttention | None:
        """These maps as functional code can stream them; None with other statistics."""
        if self.statistics != _STATISTICS:
            return None
        return functional.ResponseAttention(spatial=params["kernel"], kernel_dilation=self.kernel_dilation)


@dataclasses.dataclass(frozen=True)
class InputChannelAttention(_ChannelAttention):
    """Channel attention of an input, see `gequi_jax.functional.input_channel_attention`.

    Attributes:
      reduction_ratio: r; the network has `in_features // r` hidden units.
      hidden_features: the hidden units themselves, in place of a ratio.
      statistics: the statistics over positions.

    Reference: Romero et al. (2020), Eqs. 17 and 20, section 3.4.
    """

    attends_to: ClassVar[str] = "input"

    def __call__(self, signal: Array, params: Params, *, group: FiniteGroup) -> Array:
        """The map of an input `[batch, *spatial, in_poses, channels]`."""
        return functional.input_channel_attention(
            signal, params["w1"], params["w2"], group=group, statistics=self.statistics
        )


@dataclasses.dataclass(frozen=True)
class InputSpatialAttention(_SpatialAttention):
    """Spatial attention of an input, see `gequi_jax.functional.input_spatial_attention`.

    Attributes:
      kernel_size: the odd side of the filter.
      kernel_dilation: the step between neighbouring filter entries.
      statistics: the statistics over channels.

    Reference: Romero et al. (2020), Eqs. 18 and 20, section 3.4.
    """

    attends_to: ClassVar[str] = "input"

    def __call__(self, signal: Array, params: Params, *, group: FiniteGroup) -> Array:
        """The map of an input `[batch, *spatial, in_poses, channels]`."""
        return functional.input_spatial_attention(
            signal,
            params["kernel"],
            group=group,
            kernel_dilation=self.kernel_dilation,
            statistics=self.statistics,
        )


@dataclasses.dataclass(frozen=True)
class InputPoseAttention:
    """Attention of an input over its poses, alpha_RH, see `gequi_jax.functional.input_pose_attention`.

    Reference: Romero et al. (2020), section 3.1.2 and alpha_RH in Tab. 1.
    """

    attends_to: ClassVar[str] = "input"

    def init(
        self, key: Array, *, in_features: int, in_poses: int, dim: int, kernel_init=_KERNEL_INIT, dtype=jnp.float32
    ) -> Params:
        """Its filter, `kernel`."""
        kernel = _START * kernel_init(key, (in_poses * in_features, 1), dtype)
        return {"kernel": kernel.reshape(in_poses, in_features)}

    def __call__(self, signal: Array, params: Params, *, group: FiniteGroup) -> Array:
        """The map of an input `[batch, *spatial, in_poses, channels]`."""
        return functional.input_pose_attention(signal, params["kernel"], group=group)


@dataclasses.dataclass(frozen=True)
class SeriesAttention:
    """Operators one after the other, each on the signal that those before have modulated.

        alpha = alpha_1[f] alpha_2[alpha_1 f] ...

    Attributes:
      operators: pairs of a name, under which the parameters are kept, and an operator.

    Raises:
      ValueError: if there is no operator, names repeat, or some attend to responses and others to the input.

    Reference: Romero et al. (2020), Eqs. 19 and 20, Fig. 6.
    """

    operators: tuple[tuple[str, Any], ...]

    def __post_init__(self):
        names = [name for name, _ in self.operators]
        if not names or len(set(names)) < len(names):
            raise ValueError(f"operators: expected at least one, under names of their own; got {names}.")
        if len({operator.attends_to for _, operator in self.operators}) > 1:
            raise ValueError(
                "operators: expected all to attend to responses, or all to the input; got "
                f"{ {name: operator.attends_to for name, operator in self.operators} }."
            )

    @property
    def attends_to(self) -> str:
        """What its operators attend to."""
        return self.operators[0][1].attends_to

    def init(self, key: Array, **sizes: Any) -> Params:
        """The parameters of each operator, under its name."""
        keys = jax.random.split(key, len(self.operators))
        return {name: operator.init(k, **sizes) for k, (name, operator) in zip(keys, self.operators, strict=True)}

    def response_attention(self, params: Params) -> functional.ResponseAttention | None:
        """These maps as functional code can stream them: channel attention, then spatial attention, of responses."""
        operators = tuple(operator for _, operator in self.operators)
        if tuple(map(type, operators)) != (ChannelAttention, SpatialAttention):
            return None
        offers = [operator.response_attention(params[name]) for name, operator in self.operators]
        if any(offer is None for offer in offers):
            return None
        channel, spatial = offers
        return dataclasses.replace(spatial, channel=channel.channel)

    def __call__(self, signal: Array, params: Params, *, group: FiniteGroup) -> Maps:
        """The maps of all operators, in their order."""
        maps: Maps = ()
        for name, operator in self.operators:
            new = as_maps(operator(signal, params[name], group=group))
            for one_map in new:
                signal = one_map * signal
            maps += new
        return maps

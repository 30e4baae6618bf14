"""The interface of attention operators: a callable, and the signal that it attends to."""

import dataclasses
import functools
from typing import Any, Protocol

import jax

from gequi_jax._typing import Array
from gequi_jax.groups import FiniteGroup

Maps = tuple[Array, ...]


class AttentionOperator(Protocol):
    """A function of `(signal, params, *, group)` that returns the map alpha, or a tuple of maps whose product is alpha.

    A map has values in [0, 1] and the axes of the signal, of size 1 where it does not vary. The operator may have an
    attribute `attends_to`, "responses" or "input", which chooses the signal; without it, it attends to responses. See
    `gequi_jax.functional.channel_attention` and `input_channel_attention` for the two signals.

    An attentive convolution with it is equivariant if and only if alpha transforms as its signal does (Theorem 1), which
    `gequi_jax.testing.assert_attention_equivariant` checks.
    """

    def __call__(self, signal: Array, params: Any, *, group: FiniteGroup) -> Array | Maps:
        """The map, or the maps, of a signal."""
        ...


@functools.partial(
    jax.tree_util.register_dataclass, data_fields=("channel", "spatial"), meta_fields=("kernel_dilation",)
)
@dataclasses.dataclass(frozen=True)
class ResponseAttention:
    """The parameters of channel attention, then spatial attention, of responses, each with mean and maximum.

    An operator whose maps are these offers them by a method `response_attention(params)`, and its convolution is streamed
    on a CPU.

    Attributes:
      channel: W1 `[out_features, in_poses, channels, hidden]` and W2 `[out_features, in_poses, hidden, channels]`, or None.
      spatial: psi, `[out_features, *window, in_poses, 2]`, or None.
      kernel_dilation: of psi.
    """

    channel: tuple[Array, Array] | None = None
    spatial: Array | None = None
    kernel_dilation: int = 1


def as_maps(maps_or_map: Array | Maps) -> Maps:
    """The result of an operator as a tuple of maps.

    Args:
      maps_or_map: what an operator returned, a map or several.
    """
    return tuple(maps_or_map) if isinstance(maps_or_map, tuple | list) else (maps_or_map,)

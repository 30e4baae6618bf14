"""The modulation of a signal by the maps of an attention operator."""

import dataclasses
import math
from typing import Any, Literal, get_args

from gequi_jax._checks import check_choice
from gequi_jax._typing import Array
from gequi_jax.functional.attentive_conv._operators import AttentionOperator, Maps, ResponseAttention, as_maps
from gequi_jax.groups import FiniteGroup

AttendsTo = Literal["responses", "input"]


@dataclasses.dataclass(frozen=True)
class Modulation:
    """An attention operator and what is done with its maps.

    Attributes:
      attention: the operator.
      group: the group H.
      residual: multiply by 1 - alpha; otherwise by alpha.
    """

    attention: AttentionOperator
    group: FiniteGroup
    residual: bool

    @property
    def attends_to_input(self) -> bool:
        """Whether the operator attends to the input of the convolution; otherwise to its responses.

        Raises:
          ValueError: if the attribute `attends_to` of the operator is neither.
        """
        attends_to = getattr(self.attention, "attends_to", "responses")
        check_choice("attention", attends_to, get_args(AttendsTo))
        return attends_to == "input"

    def response_attention(self, params: Any) -> ResponseAttention | None:
        """The maps as channel and spatial attention of responses, if that is what the operator computes."""
        offer = getattr(self.attention, "response_attention", None)
        return None if offer is None else offer(params)

    def __call__(self, signal: Array, params: Any) -> tuple[Array, Maps]:
        """The modulated signal, and the maps alpha.

        Raises:
          ValueError: if a map does not have the axes of the signal.
        """
        maps = as_maps(self.attention(signal, params, group=self.group))
        for one_map in maps:
            fits = one_map.ndim == signal.ndim and all(
                size in (1, whole) for size, whole in zip(one_map.shape, signal.shape, strict=True)
            )
            if not fits:
                raise ValueError(
                    f"attention: expected maps with the axes of their signal {signal.shape}, of size 1 where they do not "
                    f"vary; got shape {one_map.shape}."
                )
        alpha = math.prod(maps[1:], start=maps[0])
        return (signal - alpha * signal if self.residual else alpha * signal), maps

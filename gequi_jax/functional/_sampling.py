"""Where a filter reads a signal."""

from typing import NamedTuple


class Sampling(NamedTuple):
    """Where a filter reads a signal.

    Attributes:
      strides: the step between output positions.
      pads: zeros before and after each spatial axis.
      kernel_dilation: the step between neighbouring filter entries.
    """

    strides: int
    pads: tuple[tuple[int, int], ...]
    kernel_dilation: int

"""Input sizes that an architecture can divide without breaking the symmetry."""

from collections.abc import Callable, Sequence
from typing import Literal, get_args

from gequi_jax._checks import check_choice, check_positive_integer

Downsampling = Literal["pool", "stride"]


def check_input_shape(input_shape: Sequence[int], *, dim: int) -> tuple[int, ...]:
    """The sides and the channels of an input, from integers of any type.

    Args:
      input_shape: `(*spatial, channels)`.
      dim: the number of spatial axes.

    Raises:
      ValueError: if the number of sizes is not `dim + 1`, or a size is not positive.
    """
    if len(input_shape) != dim + 1:
        raise ValueError(
            f"input_shape: expected {dim} sides and a number of channels, for a group that acts on {dim} dimensions; got "
            f"{tuple(input_shape)}."
        )
    return tuple(check_positive_integer("input_shape", size) for size in input_shape)


def check_input_sides(input_shape: Sequence[int], fits: Callable[[int], bool], reason: str) -> tuple[int, ...]:
    """The sizes of an image, after a check that the architecture can divide its sides.

    Args:
      input_shape: `(rows, columns, channels)`.
      fits: whether the architecture can take a side.
      reason: what the architecture needs, for the message.

    Raises:
      ValueError: if a size is not positive, or a side does not fit; the message names those nearby that fit.
    """
    if len(input_shape) != 3:
        raise ValueError(f"input_shape: expected (rows, columns, channels); got {tuple(input_shape)}.")
    shape = check_input_shape(input_shape, dim=2)
    for side in shape[:2]:
        if not fits(side):
            below = next((smaller for smaller in range(side - 1, 0, -1) if fits(smaller)), None)
            above = next(larger for larger in range(max(side, 0) + 1, 2 * max(side, 0) + 1024) if fits(larger))
            nearest = above if below is None else f"{below} and {above}"
            raise ValueError(
                f"input_shape: {reason}, which a side of {side} in {shape} does not allow; the nearest that "
                f"do: {nearest}. Resize the images, or pad as many positions on every side."
            )
    return shape


def check_downsampling(downsampling: str) -> None:
    """Checks the name of a way to halve a map.

    Raises:
      ValueError: if it is not "pool" or "stride".
    """
    check_choice("downsampling", downsampling, get_args(Downsampling))

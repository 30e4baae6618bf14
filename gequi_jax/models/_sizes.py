"""Input sizes that an architecture can divide without breaking the symmetry."""

from collections.abc import Callable, Sequence


def check_input_sides(input_shape: Sequence[int], fits: Callable[[int], bool], reason: str):
    """Checks the sides of an input, and names those nearby that fit.

    Args:
      input_shape: `(rows, columns, channels)`.
      fits: whether the architecture can take a side.
      reason: what the architecture needs, for the message.

    Raises:
      ValueError: if a side does not fit.
    """
    if len(input_shape) != 3:
        raise ValueError(f"input_shape: expected (rows, columns, channels); got {tuple(input_shape)}.")
    for side in input_shape[:2]:
        if not fits(side):
            below = next((smaller for smaller in range(side - 1, 0, -1) if fits(smaller)), None)
            above = next(larger for larger in range(max(side, 0) + 1, 2 * max(side, 0) + 1024) if fits(larger))
            nearest = above if below is None else f"{below} and {above}"
            raise ValueError(
                f"input_shape: {reason}, which a side of {side} in {tuple(input_shape)} does not allow; the nearest that "
                f"do: {nearest}. Resize or pad the images alike on every side."
            )


def check_downsampling(downsampling: str):
    """Checks the name of a way to halve a map.

    Raises:
      ValueError: if it is not "pool" or "stride".
    """
    if downsampling not in ("pool", "stride"):
        raise ValueError(f"downsampling: expected 'pool' or 'stride'; got {downsampling!r}.")

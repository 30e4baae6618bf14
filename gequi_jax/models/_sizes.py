"""Input sizes that an architecture can divide and that its group maps to themselves."""

from collections.abc import Callable, Sequence
from typing import Literal, get_args

import numpy as np

from gequi_jax._checks import check_choice, check_group, check_positive_integer
from gequi_jax.groups import FiniteGroup, group_by_name

Downsampling = Literal["pool", "stride"]

# Groups that messages suggest, the largest first.
_SUGGESTED = {
    1: ("z2m", "z2"),
    2: ("p4m", "p4", "p2m", "p2", "z2m", "z2"),
    3: (
        "full_octahedral",
        "octahedral",
        "tetrahedral",
        "p4m_depth_mirror",
        "p4m",
        "p4",
        "p2m_depth_mirror",
        "p2m",
        "z2",
    ),
}


def check_input_shape(input_shape: Sequence[int], *, group: FiniteGroup) -> tuple[int, ...]:
    """The sides and the channels of an input, from integers of any type.

    Args:
      input_shape: `(*spatial, channels)`.
      group: the group of the network.

    Raises:
      ValueError: if the number of sides is not the dimension of the group, or a size is not positive; the message names
        groups that act on such an input.
    """
    check_group(group)
    if len(input_shape) != group.dim + 1:
        raise ValueError(
            f"input_shape: expected {group.dim} sides and a number of channels, since {group.name} acts on {group.dim} "
            f"dimensions; got {tuple(input_shape)}{_suggestion(tuple(input_shape)[:-1])}."
        )
    return tuple(check_positive_integer("input_shape", size) for size in input_shape)


def check_input_sides(
    input_shape: Sequence[int], fits: Callable[[int], bool], reason: str, *, group: FiniteGroup
) -> tuple[int, ...]:
    """The sizes of an input, after a check that the architecture can divide its sides and the group keeps them.

    Args:
      input_shape: `(*spatial, channels)`.
      fits: whether the architecture can take a side.
      reason: what the architecture needs, for the message.
      group: the group of the network.

    Raises:
      ValueError: if a size is not positive, or a side does not fit; the message names those nearby that fit. Also if the
        group does not map the input to itself; the message names groups that do.
    """
    shape = check_input_shape(input_shape, group=group)
    for side in shape[:-1]:
        if not fits(side):
            below = next((smaller for smaller in range(side - 1, 0, -1) if fits(smaller)), None)
            above = next(larger for larger in range(max(side, 0) + 1, 2 * max(side, 0) + 1024) if fits(larger))
            nearest = above if below is None else f"{below} and {above}"
            kind = "volumes" if group.dim == 3 else "images"
            raise ValueError(
                f"input_shape: {reason}, which a side of {side} in {shape} does not allow; the nearest that "
                f"do: {nearest}. Resize the {kind}, or pad as many positions on every side."
            )
    check_symmetric_sides(shape, group=group)
    return shape


def check_symmetric_sides(input_shape: tuple[int, ...], *, group: FiniteGroup) -> None:
    """Checks that the group exchanges axes of equal sides only.

    Args:
      input_shape: `(*spatial, channels)`.
      group: the group of the network.

    Raises:
      ValueError: if not; the message names groups that do.
    """
    sides = input_shape[:-1]
    element = _element_that_moves(sides, group)
    if element is not None:
        raise ValueError(
            f"input_shape: expected equal sides on the axes that {group.name} exchanges or mixes, as element {element} "
            f"does; got {input_shape}{_suggestion(sides)}, or resize to equal sides."
        )


def check_downsampling(downsampling: str) -> None:
    """Checks the name of a way to halve a map.

    Raises:
      ValueError: if it is not "pool" or "stride".
    """
    check_choice("downsampling", downsampling, get_args(Downsampling))


def _element_that_moves(sides: Sequence[int], group: FiniteGroup) -> int | None:
    """The first element that exchanges or mixes axes of different sides."""
    for element, matrix in enumerate(group.matrices):
        if any(sides[target] != sides[source] for target, source in np.argwhere(np.abs(matrix) > 1e-6).tolist()):
            return element
    return None


def _suggestion(sides: Sequence[int]) -> str:
    """The end of a sentence that names the groups that map a box of these sides to itself."""
    dim = len(sides)
    names = [
        name for name in _SUGGESTED.get(dim, ()) if _element_that_moves(sides, group_by_name(name, dim=dim)) is None
    ]
    if not names:
        return ""
    box = "x".join(map(str, sides))
    return f"; use a group that works on {box}: group_by_name(name, dim={dim}) with {', '.join(map(repr, names))}"

"""The sizes of vision transformers: what patches divide, and how features are shared among poses and heads."""

from collections.abc import Sequence

from gequi_jax._checks import check_positive_integer
from gequi_jax.groups import FiniteGroup
from gequi_jax.models._sizes import check_input_shape, check_symmetric_sides

_HEAD_FEATURES = 64


def features_of_a_pose(total: int, group: FiniteGroup) -> int:
    """The even number of channels of a pose with which a position has about `total` numbers."""
    return 2 * max(1, round(total / (2 * group.order)))


def heads_of_a_frame(features: int) -> int:
    """The number of heads that share the channels of a pose, each with an even number, as near to 64 as may be."""
    divisors = [heads for heads in range(1, features + 1) if features % (2 * heads) == 0]
    return min(divisors or [1], key=lambda heads: (abs(features / heads - _HEAD_FEATURES), heads))


def check_depths(depths: Sequence[int]) -> tuple[int, ...]:
    """The number of blocks of each stage.

    Raises:
      ValueError: if there is no stage, or a number is not positive.
    """
    checked = tuple(check_positive_integer("depths", depth) for depth in depths)
    if not checked:
        raise ValueError("depths: expected the number of blocks of at least one stage; got none.")
    return checked


def check_patches(
    input_shape: Sequence[int], patch_strides: int, *, num_mergings: int, group: FiniteGroup
) -> tuple[int, ...]:
    """The sizes of an image, after a check that patches and their mergings tile it.

    Raises:
      ValueError: if the number of sizes is not that of the dimension of the group and one, a side is not divisible, or the
        group exchanges axes of different sides; the message names the nearest sides that fit.
    """
    shape = check_input_shape(input_shape, group=group)
    step = check_positive_integer("patch_size", patch_strides) * 2**num_mergings
    for side in shape[:-1]:
        if side % step:
            below, above = side // step * step, (side // step + 1) * step
            raise ValueError(
                f"input_shape: expected sides divisible by {step}, the stride of the patches after {num_mergings} "
                f"mergings; got {shape}; the nearest to {side}: {f'{below} and {above}' if below else above}. Resize the "
                "images, or use other patches."
            )
    check_symmetric_sides(shape, group=group)
    return shape

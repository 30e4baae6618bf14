"""Any function made equivariant by averaging over the group: a baseline for equivariant layers."""

import functools
import operator
from collections.abc import Callable
from typing import Any, Literal, get_args

from gequi_jax._checks import check_choice, check_group
from gequi_jax._typing import Array
from gequi_jax.actions import act_on_feature_map, act_on_grid
from gequi_jax.groups import FiniteGroup

Space = Literal["grid", "feature_map", "invariant"]

_ACTIONS: dict[str, Any] = {
    "grid": act_on_grid,
    "feature_map": act_on_feature_map,
    "invariant": lambda element, y, *, group: y,
}


def symmetrize(
    function: Callable[[Array], Array], group: FiniteGroup, *, input: Space = "grid", output: Space = "invariant"
) -> Callable[[Array], Array]:
    """The mean over the group of a function of images: equivariant, and |H| times as expensive.

        (S F)(f) = 1 / |H| sum_h L_h F(L_h^-1 f)

    With L_g f for f, the output y becomes L_g y, or stays y where it is "invariant". An equivariant function is unchanged. The
    images are transformed exactly by elements that map the grid to itself, and by interpolation otherwise.

    Args:
      function: from images, or feature maps, to an array; a network of any kind, in `eval()` mode.
      group: the group H.
      input: how the group acts on the input: "grid" for images, "feature_map".
      output: how it acts on the output: "grid", "feature_map", or "invariant" for logits.

    Returns:
      The function S F.

    Raises:
      ValueError: if a space is unknown; when called, if an array does not fit the group.

    Reference: Murphy et al. (2019), the Reynolds operator.

    Example:
      >>> import jax.numpy as jnp
      >>> from gequi_jax.groups import cyclic_group
      >>> top_left = symmetrize(lambda x: x[:, 0, 0], cyclic_group(4))
      >>> top_left(jnp.arange(4.0).reshape(1, 2, 2, 1)).tolist()
      [[1.5]]
    """
    check_group(group)
    check_choice("input", input, [space for space in get_args(Space) if space != "invariant"])
    check_choice("output", output, get_args(Space))

    def symmetrized(x: Array) -> Array:
        terms = (
            _ACTIONS[output](h, function(_ACTIONS[input](group.inverses[h], x, group=group)), group=group)
            for h in range(group.order)
        )
        return functools.reduce(operator.add, terms) / group.order

    return symmetrized

"""The choice between the implementations of self-attention."""

import math
from collections.abc import Callable
from typing import Literal, get_args

from gequi_jax._checks import check_choice
from gequi_jax._typing import Array
from gequi_jax.functional._windows import Window
from gequi_jax.functional.self_attention._dropout import Dropout
from gequi_jax.functional.self_attention._global import attend_globally
from gequi_jax.functional.self_attention._operands import Operands
from gequi_jax.functional.self_attention._reference import reference_global, reference_windowed
from gequi_jax.functional.self_attention._windowed import attend_windowed

Implementation = Literal["auto", "reference", "blocked"]

# The number of scores up to which "auto" materialises all of them. Blocks save memory; for so few scores they save none
# worth having, and cost time.
MOST_REFERENCE_SCORES = 2**17


def choose(
    implementation: Implementation, operands: Operands, window: Window
) -> Callable[[Operands, Window, Dropout], Array]:
    """The function that an implementation stands for.

    Args:
      implementation: its name; "auto" chooses by the number of scores.
      operands: the arrays.
      window: the neighbourhood of each query.

    Raises:
      ValueError: if there is no implementation of that name.
    """
    check_choice("implementation", implementation, get_args(Implementation))
    if implementation == "auto":
        implementation = "reference" if _scores(operands, window) <= MOST_REFERENCE_SCORES else "blocked"
    if implementation == "reference":
        return reference_global if window.is_global else reference_windowed
    return attend_globally if window.is_global else attend_windowed


def _scores(operands: Operands, window: Window) -> int:
    """How many scores the plain form has: a number for each sample, head, output pose and pair of query and key."""
    batch, *spatial_shape, poses, heads, _ = operands.query.shape
    positions = math.prod(spatial_shape)
    keys = positions if window.is_global else window.size
    return batch * heads * len(operands.position_encoding) * poses**2 * positions * keys

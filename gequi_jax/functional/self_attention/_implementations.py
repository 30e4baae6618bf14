"""The choice between the implementations of self-attention."""

import math
from collections.abc import Callable
from typing import Literal, get_args

import jax.export

from gequi_jax._checks import check_choice
from gequi_jax._typing import Array
from gequi_jax.functional._windows import Window
from gequi_jax.functional.self_attention._dropout import Dropout
from gequi_jax.functional.self_attention._global import attend_globally
from gequi_jax.functional.self_attention._operands import Operands
from gequi_jax.functional.self_attention._reference import reference_global, reference_windowed
from gequi_jax.functional.self_attention._windowed import attend_windowed

Implementation = Literal["auto", "reference", "blocked", "pallas"]

# The number of scores up to which "auto" computes global attention all at once: as long as they stay in the cache of a CPU,
# recomputing them in the backward pass costs more than it saves. Windowed attention is faster in blocks at every size.
MOST_REFERENCE_SCORES = 3 * 2**19


def choose(
    implementation: Implementation, operands: Operands, window: Window
) -> Callable[[Operands, Window, Dropout], Array]:
    """The function that an implementation stands for.

    Args:
      implementation: its name; "auto" chooses by the number of scores. It does not choose the kernel, which has not been
        timed on an accelerator.
      operands: the arrays.
      window: the neighbourhood of each query.

    Raises:
      ValueError: if there is no implementation of that name.
    """
    check_choice("implementation", implementation, get_args(Implementation))
    if implementation == "auto":
        few = window.is_global and _are_few(operands)
        implementation = "reference" if few else "blocked"
    if implementation == "reference":
        return reference_global if window.is_global else reference_windowed
    if implementation == "pallas":
        # Pallas takes a second to import, which only those who use it should wait for.
        from gequi_jax.functional.self_attention._pallas import attend_pallas

        return attend_pallas
    return attend_globally if window.is_global else attend_windowed


def _are_few(operands: Operands) -> bool:
    """Whether global attention has few scores: one for each sample, head, output pose and pair of query and key."""
    batch, *spatial_shape, poses, heads, _ = operands.query.shape
    per_sample = heads * len(operands.position_encoding) * poses**2 * math.prod(spatial_shape) ** 2
    # A symbolic batch, that of an exported program, may be large.
    return not jax.export.is_symbolic_dim(batch) and batch * per_sample <= MOST_REFERENCE_SCORES

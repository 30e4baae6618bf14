"""Rows of an audit, and the first place at which equivariance is lost."""

import functools
from collections.abc import Iterable, Mapping, Sequence

from gequi_jax.groups import FiniteGroup
from gequi_jax.testing._causes import GENERIC, likely_cause, resampling_cause
from gequi_jax.testing._interpretations import smallest_error
from gequi_jax.testing._recording import Call
from gequi_jax.testing._report import AuditRow

# How far a sound layer may amplify the round-off of its input: a sigmoid of large weights does so, and so does a sum that
# nearly cancels. A fault adds to it.
AMPLIFICATION = 100


def audit_row(
    index: int,
    base: Sequence[Call],
    moved: Mapping[int, Sequence[Call]],
    group: FiniteGroup,
    kind: str | None,
    *,
    layer_groups: Iterable[FiniteGroup],
) -> AuditRow:
    """The equivariance errors of one call.

    Args:
      index: which of the calls.
      base: the calls for the untransformed input.
      moved: for each element, the calls for the transformed input.
      group: the group of the elements.
      kind: the interpretation of the output, if it is known.
      layer_groups: the groups of all layers.
    """
    call = base[index]
    smallest = functools.partial(smallest_error, layer_groups=layer_groups)
    name, errors = smallest(call.output, {g: calls[index].output for g, calls in moved.items()}, group, kind)
    worst = max(errors, key=lambda element: errors[element], default=group.identity)
    input_errors = []
    for argument, array in enumerate(call.inputs):
        of_element = {g: calls[index].inputs[argument] for g, calls in moved.items()}
        input_errors.extend(smallest(array, of_element, group, None)[1].values())
    return AuditRow(
        path=call.path,
        module=type(call.module).__name__,
        shape=call.output.shape,
        kind=name,
        input_error=max(input_errors, default=0.0),
        error=errors.get(worst, 0.0),
        worst_element=worst,
        group=group.name,
    )


def first_fault(
    base: Sequence[Call], rows: Sequence[AuditRow], group: FiniteGroup, limit: float
) -> tuple[str | None, str | None]:
    """The path and the likely cause of the first call to end with a broken output, None for none.

    Its children are sound, so the fault is its own, or lies before it.
    """
    broken = next((index for index, row in enumerate(rows) if not row.error <= limit), None)
    if broken is None:
        return None, None
    if not rows[broken].input_error <= limit and broken > 0:
        return _fault_before(base, broken, group)
    call, row = base[broken], rows[broken]
    cause = likely_cause(call.module, call.inputs, group)
    children = [other for other in base[:broken] if other.position > call.position]
    if cause is None and children:
        last = children[-1]
        cause = (
            f"its submodules are sound, the last of them being {last.path}, but its own code is not; "
            + resampling_cause(last.output.shape, call.output.shape, group)
        )
    if cause is None and row.error <= AMPLIFICATION * row.input_error:
        cause = (
            f"its error is {row.error / row.input_error:.0f} times that of its input, as in a layer that amplifies "
            "round-off; dtype='float64' distinguishes round-off from a fault."
        )
    return call.path, cause or GENERIC


def _fault_before(base: Sequence[Call], broken: int, group: FiniteGroup) -> tuple[str, str]:
    """The fault of the code between two calls, when the input of the second is broken already."""
    call, before = base[broken], base[broken - 1]
    parent = next((other for other in base[broken:] if other.position < call.position), call)
    cause = f"the code between {before.path} and {call.path}: " + resampling_cause(
        before.output.shape, call.inputs[0].shape, group
    )
    if parent.position == 0:
        return call.path, f"its input is broken already, by {cause}"
    return parent.path, likely_cause(parent.module, parent.inputs, group) or cause

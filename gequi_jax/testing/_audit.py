"""Where in a network equivariance is lost: the error of every submodule, in the order in which they are called."""

import contextlib
import dataclasses
import functools
from collections.abc import Mapping, Sequence

import jax
import jax.numpy as jnp
from flax import nnx

from gequi_jax.actions import grid_preserving_elements
from gequi_jax.groups import FiniteGroup
from gequi_jax.testing._faults import AMPLIFICATION, audit_row, first_fault
from gequi_jax.testing._interpretations import INTERPRETATIONS
from gequi_jax.testing._layer_groups import contains, layer_groups
from gequi_jax.testing._recording import Call, recorded_runs
from gequi_jax.testing._report import AuditReport, AuditRow
from gequi_jax.testing._spaces import InputSpace, OutputSpace, check_input_space, check_spaces
from gequi_jax.testing._tolerances import tolerance_of
from gequi_jax.testing._weights import cast, prepared

_MovedCalls = Mapping[FiniteGroup, Mapping[int, list[Call]]]


def audit(
    model: nnx.Module,
    x: jax.Array,
    *,
    group: FiniteGroup,
    input: InputSpace = "grid",
    output: OutputSpace | None = None,
    elements: Sequence[int] | None = None,
    weight_scale: float = 1.0,
    perturb: float = 0.1,
    dtype: jax.typing.DTypeLike | None = None,
    rtol: float | None = None,
    kinds: Mapping[str, str] | None = None,
) -> AuditReport:
    """Runs a model on transformed inputs and reports the equivariance error of every submodule.

        error of a layer = max over g of |y(L_g x) - L_g y(x)| / |y(x)|

    How an output transforms is inferred: of the interpretations that its shape allows (a feature map, an image, a field of
    vectors, tensors or pseudoscalars, poses without positions, an invariant) the one with the smallest error is chosen. A place is at fault if its input is
    equivariant and its output is not; it is a submodule, or the code between two of them.

    Round-off can exceed the tolerance of float32 where a layer amplifies it or a sum nearly cancels, by up to a factor of
    100. The same audit in float64 distinguishes it from a fault, and the report then has a remark.

    Args:
      model: any NNX model or layer, of this package's layers and others. It is not changed: a copy runs in `eval()` mode.
      x: one batch of inputs; noise reveals more than smooth images do.
      group: the group the model should be equivariant to. A layer with a larger group as its attribute `group`, such as those
        in the first stages of a network with `group_by_stage`, is tested under its own group, if its input is equivariant
        under it.
      input: how the group acts on the input: "grid", "feature_map", "vectors", "tensors" or "pseudoscalars", as in
        `equivariance_errors`.
      output: how it acts on the output of the model: the same, "class_map" or "invariant"; inferred by default.
      elements: the elements to test, of `group` alone; by default all that map the grid to itself.
      weight_scale: a factor on all parameters; training amplifies faults that are invisible at initialisation, and so does
        a factor of 3. Batch norms take the statistics of the scaled network from `x`.
      perturb: the size of the noise on parameters and statistics whose entries are all equal, relative to their size, or
        absolute where they are 0; 0 adds none. Biases and scales are constant before training, so that a bias that depends
        on the pose or the position is invisible until its entries differ. Batch norms without statistics take them from
        `x`.
      dtype: casts parameters and input, such as to "float64"; by default nothing is cast, and float64 is used only to
        distinguish round-off from a fault.
      rtol: the error above which a layer is not equivariant, whatever the reason; by default `tolerance` for the
        dtype and the platform of x.
      kinds: for paths whose kind should not be inferred, its name as in `AuditRow.kind`.

    Returns:
      The report; `str(report)` is a table, `report.as_dict()` plain data.

    Raises:
      ValueError: if the input does not fit the group, `kinds` names an unknown path or kind, or `perturb` is negative.

    Example:
      >>> from gequi_jax.groups import cyclic_group
      >>> x = jnp.arange(25.0).reshape(1, 5, 5, 1)
      >>> audit(nnx.Conv(1, 4, (3, 3), rngs=nnx.Rngs(0)), x, group=cyclic_group(4)).fault
      '(model)'
    """
    kinds = dict(kinds or {})
    if output is None:
        check_input_space(input)
    else:
        check_spaces(input, output)
        kinds["(model)"] = output
    if not perturb >= 0:
        raise ValueError(f"perturb: expected 0 or more; got {perturb!r}.")
    x = jnp.asarray(x)
    # Feature maps on the group are moved by its elements only.
    larger_are_tested = elements is None and input != "feature_map"
    tested = {
        other: tuple(grid_preserving_elements(other)) if larger_are_tested else () for other in layer_groups(model)
    }
    tested = {other: chosen for other, chosen in tested.items() if contains(other, group)}
    tested[group] = tuple(grid_preserving_elements(group) if elements is None else elements)
    settings = _Settings(group, input, tested, weight_scale, perturb, kinds)
    measure = functools.partial(_audit, model, x, settings)
    report = measure(dtype=dtype, rtol=rtol)
    is_explicit = dtype is not None or rtol is not None or x.dtype != jnp.float32
    if is_explicit or report.passed or not report.largest_error <= AMPLIFICATION * report.tolerance:
        return report
    try:
        double = measure(dtype="float64", rtol=None)
    except (TypeError, ValueError):  # Some models do not run in float64.
        return report
    if not double.passed:
        return report
    remark = (
        f"it reaches {report.largest_error:.1e} in float32, first above the tolerance at {report.fault}, and "
        f"{double.largest_error:.1e} in float64."
    )
    return dataclasses.replace(report, fault=None, cause=None, remark=remark)


@dataclasses.dataclass(frozen=True)
class _Settings:
    """What the audits in all types share: `elements` has those to test for each group of the layers."""

    group: FiniteGroup
    input: InputSpace
    elements: Mapping[FiniteGroup, tuple[int, ...]]
    weight_scale: float
    perturb: float
    kinds: Mapping[str, str]


def _audit(
    model: nnx.Module, x: jax.Array, settings: _Settings, *, dtype: jax.typing.DTypeLike | None, rtol: float | None
) -> AuditReport:
    """The audit in one type."""
    group, elements, kinds = settings.group, settings.elements, settings.kinds
    with jax.enable_x64(jnp.dtype(dtype).itemsize == 8) if dtype is not None else contextlib.nullcontext():
        x = cast(x, dtype)
        copy = prepared(model, x, weight_scale=settings.weight_scale, perturb=settings.perturb, dtype=dtype)
        limit = tolerance_of(x) if rtol is None else rtol
        base, moved = _runs(copy, x, settings)
        _check_kinds(kinds, {call.path for call in base})
        rows = [_row(index, base, moved, settings, limit) for index in range(len(base))]
        fault, cause = first_fault(base, rows, group, limit)
        in_order = sorted(range(len(base)), key=lambda index: base[index].position)
        return AuditReport(group, elements[group], limit, tuple(rows[index] for index in in_order), fault, cause)


def _runs(model: nnx.Module, x: jax.Array, settings: _Settings) -> tuple[list[Call], _MovedCalls]:
    """The calls for the input, and those for the transformed inputs by group and element; equal matrices share a run."""
    act = INTERPRETATIONS[settings.input].act
    moved = {}
    for group, elements in settings.elements.items():
        for g in elements:
            moved.setdefault(group.matrices[g].tobytes(), (g, group))
    base, *runs = recorded_runs(model, [x, *(act(g, x, group) for g, group in moved.values())])
    by_matrix = dict(zip(moved, runs, strict=True))
    return base, {
        group: {g: by_matrix[group.matrices[g].tobytes()] for g in elements}
        for group, elements in settings.elements.items()
    }


def _row(index: int, base: list[Call], moved: _MovedCalls, settings: _Settings, limit: float) -> AuditRow:
    """The row of a call: under the larger group of its module if its input is equivariant under that one."""
    call, group = base[index], settings.group
    own = getattr(call.module, "group", group)
    kind = settings.kinds.get(call.path)
    if call.position > 0 and own != group and settings.elements.get(own):
        row = audit_row(index, base, moved[own], own, kind, layer_groups=settings.elements)
        if row.input_error <= limit:
            return row
    return audit_row(index, base, moved[group], group, kind, layer_groups=settings.elements)


def _check_kinds(kinds: Mapping[str, str], paths: set[str]):
    for path, kind in kinds.items():
        if path not in paths:
            raise ValueError(f"kinds: there is no layer {path!r}; the layers are {', '.join(sorted(paths))}.")
        if kind not in INTERPRETATIONS:
            raise ValueError(f"kinds: expected one of {sorted(INTERPRETATIONS)} for {path}; got {kind!r}.")

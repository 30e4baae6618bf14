"""Where in a network equivariance is lost: the error of every submodule, in the order in which they are called."""

import contextlib
import dataclasses
import functools
import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from gequi_jax.actions import grid_preserving_elements
from gequi_jax.groups import FiniteGroup
from gequi_jax.testing._causes import GENERIC, likely_cause, resampling_cause
from gequi_jax.testing._interpretations import INTERPRETATIONS, smallest_error
from gequi_jax.testing._tolerances import tolerance
from gequi_jax.testing._weights import cast, prepared

# How far a sound layer may magnify the rounding of its input: a sigmoid of large weights does so, and so does a sum that
# nearly cancels; a fault adds to it.
MAGNIFICATION = 100


@dataclasses.dataclass(frozen=True)
class AuditRow:
    """One call of one submodule.

    Attributes:
      path: where the module is in the model, "blocks.0.attention"; the model itself is "(model)".
      module: the name of its class.
      shape: of its output.
      kind: how the output was taken to transform, one of "feature_map", "merged_feature_map", "grid", "poses",
        "invariant".
      input_error: the largest relative equivariance error of its input.
      error: that of its output.
      worst_element: the element of that error.
    """

    path: str
    module: str
    shape: tuple[int, ...]
    kind: str
    input_error: float
    error: float
    worst_element: int


@dataclasses.dataclass(frozen=True)
class AuditReport:
    """What `audit` found; printing it shows a table.

    Attributes:
      group: the group that was tried.
      elements: its elements that were tried.
      tolerance: the error above which a layer is not equivariant.
      rows: one for each call of a submodule, in the order in which they begin.
      fault: the path of the first place where the error jumps, None if there is none.
      cause: what is likely to be wrong there.
      remark: where errors exceed the tolerance and are rounding all the same, which float64 has shown.
    """

    group: FiniteGroup
    elements: tuple[int, ...]
    tolerance: float
    rows: tuple[AuditRow, ...]
    fault: str | None
    cause: str | None
    remark: str | None = None

    @property
    def passed(self) -> bool:
        """Whether no place was found where equivariance is lost."""
        return self.fault is None

    @property
    def largest_error(self) -> float:
        """The largest error of any row."""
        return max((row.error for row in self.rows), default=0.0)

    def as_dict(self) -> dict[str, Any]:
        """The report as plain data."""
        return {
            "group": self.group.name,
            "elements": list(self.elements),
            "tolerance": self.tolerance,
            "passed": self.passed,
            "fault": self.fault,
            "cause": self.cause,
            "remark": self.remark,
            "rows": [dataclasses.asdict(row) for row in self.rows],
        }

    def __str__(self) -> str:
        width = max([len(row.path) for row in self.rows] + [len("layer")])
        kind_width = max([len(row.kind) for row in self.rows] + [len("kind")])
        module_width = max([len(row.module) for row in self.rows] + [len("module")])
        head = f"{'layer':<{width}}  {'module':<{module_width}}  {'kind':<{kind_width}}  {'error':>8}  element"
        lines = [
            f"Equivariance to {self.group.name}, {len(self.elements)} elements, tolerance {self.tolerance:.0e}",
            head,
        ]
        for row in self.rows:
            mark = "  <-- here" if row.path == self.fault else ""
            lines.append(
                f"{row.path:<{width}}  {row.module:<{module_width}}  {row.kind:<{kind_width}}  {row.error:8.1e}  "
                f"{row.worst_element:>7}{mark}"
            )
        lines.append(
            "No layer loses equivariance." if self.passed else f"Equivariance is lost at {self.fault}: {self.cause}"
        )
        if self.remark:
            lines.append(f"Rounding: {self.remark}")
        return "\n".join(lines)


@dataclasses.dataclass
class _Call:
    path: str
    module: nnx.Module
    inputs: list[jax.Array]
    output: jax.Array
    position: int  # in the order in which calls begin


def audit(
    model: nnx.Module,
    x: jax.Array,
    *,
    group: FiniteGroup,
    input: str = "grid",
    elements: Sequence[int] | None = None,
    weight_scale: float = 1.0,
    perturb: float = 0.1,
    dtype: jax.typing.DTypeLike | None = None,
    rtol: float | None = None,
    kinds: Mapping[str, str] | None = None,
) -> AuditReport:
    """Runs a model on transformed inputs and reports the equivariance error of every submodule.

        error of a layer = max over g of |y(L_g x) - L_g y(x)| / |y(x)|

    How an output transforms is inferred: of the interpretations that its shape allows (a feature map, an image, poses
    without positions, an invariant) the one with the smallest error is taken. A place is at fault if what goes in is
    equivariant and what comes out is not; it is a submodule, or the code between two of them.

    Rounding can exceed the tolerance of float32 where a layer magnifies it or a sum nearly cancels, by up to a factor of
    100. It is told from a fault by the same audit in float64, and remarked upon.

    Args:
      model: any NNX model or layer, of this package's layers and others. It is not changed: a copy runs in `eval()` mode.
      x: one batch of inputs; noise finds more than smooth images do.
      group: the group the model should be equivariant to.
      input: how the group acts on the input: "grid" or "feature_map".
      elements: the elements to try; by default those that map the grid to itself.
      weight_scale: a factor on all parameters; training amplifies what is invisible at initialisation, and so does 3.
        Batch norms take the statistics of the scaled network from `x`.
      perturb: how far entries of parameters and of statistics that are all equal are made to differ, as a part of
        their size, or absolutely where they are 0; 0 leaves them. Biases and scales are equal before training, and
        where they should not depend on the pose or the position that shows only once they are not. Batch norms that
        never saw a batch take their statistics from `x`.
      dtype: casts parameters and input, such as to "float64"; by default nothing is cast, and float64 is asked only to
        tell rounding from a fault.
      rtol: the error above which a layer is not equivariant, whatever the reason; `tolerance(dtype)` by default.
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
    if input not in ("grid", "feature_map"):
        raise ValueError(f"input: expected 'grid' or 'feature_map'; got {input!r}.")
    if not perturb >= 0:
        raise ValueError(f"perturb: expected 0 or more; got {perturb!r}.")
    x = jnp.asarray(x)
    tried = tuple(grid_preserving_elements(group) if elements is None else elements)
    kinds = dict(kinds or {})
    measure = functools.partial(
        _audit, model, x, group, input, tried, weight_scale=weight_scale, perturb=perturb, kinds=kinds
    )
    report = measure(dtype=dtype, rtol=rtol)
    told = dtype is not None or rtol is not None or x.dtype != jnp.float32
    if told or report.passed or not report.largest_error <= MAGNIFICATION * report.tolerance:
        return report
    try:
        double = measure(dtype="float64", rtol=None)
    except (TypeError, ValueError):  # A model that float64 does not run through: it says so by types that do not fit.
        return report
    if not double.passed:
        return report
    remark = (
        f"it reaches {report.largest_error:.1e} in float32, first above the tolerance at {report.fault}, and "
        f"{double.largest_error:.1e} in float64."
    )
    return dataclasses.replace(report, fault=None, cause=None, remark=remark)


def _audit(
    model: nnx.Module,
    x: jax.Array,
    group: FiniteGroup,
    input: str,
    tried: tuple[int, ...],
    *,
    weight_scale: float,
    perturb: float,
    dtype: jax.typing.DTypeLike | None,
    rtol: float | None,
    kinds: Mapping[str, str],
) -> AuditReport:
    """The audit in one type."""
    with jax.enable_x64(jnp.dtype(dtype).itemsize == 8) if dtype is not None else contextlib.nullcontext():
        x = cast(x, dtype)
        copy = prepared(model, x, weight_scale=weight_scale, perturb=perturb, dtype=dtype)
        limit = tolerance(x.dtype) if rtol is None else rtol
        act = INTERPRETATIONS[input].act
        runs = _runs(copy, [x, *(act(g, x, group) for g in tried)])
        base, moved = runs[0], dict(zip(tried, runs[1:], strict=True))
        _check_kinds(kinds, {call.path for call in base})
        rows = [_row(index, base, moved, group, kinds.get(base[index].path)) for index in range(len(base))]
        fault, cause = _fault(base, rows, group, limit)
        in_order = sorted(range(len(base)), key=lambda index: base[index].position)
        return AuditReport(group, tried, limit, tuple(rows[index] for index in in_order), fault, cause)


def _check_kinds(kinds: Mapping[str, str], paths: set[str]):
    for path, kind in kinds.items():
        if path not in paths:
            raise ValueError(f"kinds: there is no layer {path!r}; the layers are {', '.join(sorted(paths))}.")
        if kind not in INTERPRETATIONS:
            raise ValueError(f"kinds: expected one of {sorted(INTERPRETATIONS)} for {path}; got {kind!r}.")


def _runs(model: nnx.Module, inputs: list[jax.Array]) -> list[list[_Call]]:
    """The calls for each input: from one run over all of them as one batch, where their shapes allow it."""
    if len({x.shape for x in inputs}) > 1:
        return [_recorded(model, x) for x in inputs]
    total = len(inputs) * inputs[0].shape[0]

    def part(index: int, array: jax.Array) -> jax.Array:
        # Arrays without the batch on their first axis do not depend on the input.
        return jnp.split(array, len(inputs))[index] if array.shape[:1] == (total,) else array

    calls = _recorded(model, jnp.concatenate(inputs))
    return [
        [
            dataclasses.replace(call, inputs=[part(index, x) for x in call.inputs], output=part(index, call.output))
            for call in calls
        ]
        for index in range(len(inputs))
    ]


def _recorded(model: nnx.Module, x: jax.Array) -> list[_Call]:
    """Runs the model; every call of a submodule whose output is an array, in the order in which they end."""
    paths = {id(module): ".".join(map(str, path)) or "(model)" for path, module in nnx.iter_modules(model)}
    kinds = {type(module) for _, module in nnx.iter_modules(model) if callable(module)}
    originals = {kind: (kind.__call__, "__call__" in vars(kind)) for kind in kinds}
    calls: list[_Call] = []
    running: set[int] = set()
    started = itertools.count()

    def recording(original):
        def call(self, *args, **kwargs):
            # A class may call the __call__ that it inherits, which is recorded too: the outermost counts.
            if id(self) not in paths or id(self) in running:
                return original(self, *args, **kwargs)
            position = next(started)
            running.add(id(self))
            try:
                output = original(self, *args, **kwargs)
            finally:
                running.discard(id(self))
            inputs = [leaf for leaf in jax.tree.leaves((args, kwargs)) if isinstance(leaf, jax.Array)]
            # What runs under vmap or jit, such as a positional encoding, has no value to look at.
            if isinstance(output, jax.Array) and not any(isinstance(a, jax.core.Tracer) for a in [*inputs, output]):
                calls.append(_Call(paths[id(self)], self, inputs, output, position))
            return output

        return call

    try:
        for kind, (original, _) in originals.items():
            kind.__call__ = recording(original)
        model(x)
    finally:
        for kind, (original, own) in originals.items():
            if own:
                kind.__call__ = original
            else:
                del kind.__call__
    return calls


def _row(
    index: int, base: list[_Call], moved: Mapping[int, list[_Call]], group: FiniteGroup, kind: str | None
) -> AuditRow:
    call = base[index]
    name, errors = smallest_error(call.output, {g: calls[index].output for g, calls in moved.items()}, group, kind)
    worst = max(errors, key=errors.get, default=group.identity)
    input_errors = [
        error
        for k, array in enumerate(call.inputs)
        for error in smallest_error(array, {g: calls[index].inputs[k] for g, calls in moved.items()}, group, None)[
            1
        ].values()
    ]
    return AuditRow(
        path=call.path,
        module=type(call.module).__name__,
        shape=call.output.shape,
        kind=name,
        input_error=max(input_errors, default=0.0),
        error=errors.get(worst, 0.0),
        worst_element=worst,
    )


def _fault(base: list[_Call], rows: list[AuditRow], group: FiniteGroup, limit: float) -> tuple[str | None, str | None]:
    """The first call to end with a broken output: its children are sound, so the fault is its own or lies before it."""
    broken = next((index for index, row in enumerate(rows) if not row.error <= limit), None)
    if broken is None:
        return None, None
    call, row = base[broken], rows[broken]
    if not row.input_error <= limit and broken > 0:
        before = base[broken - 1]
        parent = next((other for other in base[broken:] if other.position < call.position), call)
        between = f"the code between {before.path} and {call.path}: "
        cause = between + resampling_cause(before.output.shape, call.inputs[0].shape, group)
        if parent.position == 0:
            return call.path, f"its input is broken already, by {cause}"
        return parent.path, likely_cause(parent.module, parent.inputs, group) or cause
    cause = likely_cause(call.module, call.inputs, group)
    children = [other for other in base[:broken] if other.position > call.position]
    if cause is None and children:
        last = children[-1]
        cause = (
            f"its submodules are sound, but not its own code, the last of them being {last.path}; "
            + resampling_cause(last.output.shape, call.output.shape, group)
        )
    if cause is None and row.error <= MAGNIFICATION * row.input_error:
        cause = (
            f"its error is {row.error / row.input_error:.0f} times that of its input, as where a layer magnifies rounding; "
            "dtype='float64' tells rounding from a fault."
        )
    return call.path, cause or GENERIC

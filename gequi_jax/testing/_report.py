"""The report of an audit."""

import dataclasses
from typing import Any

from gequi_jax.groups import FiniteGroup


@dataclasses.dataclass(frozen=True)
class AuditRow:
    """One call of one submodule.

    Attributes:
      path: where the module is in the model, "blocks.0.attention"; the model itself is "(model)".
      module: the name of its class.
      shape: of its output.
      kind: the interpretation of the output, one of "feature_map", "merged_feature_map", "grid", "vectors", "tensors",
        "pseudoscalars", "class_map", "poses", "invariant".
      input_error: the largest relative equivariance error of its input.
      error: that of its output.
      worst_element: the element of that error.
      group: the name of the group whose elements were tested: that of the report, or a larger one that the layer has.
    """

    path: str
    module: str
    shape: tuple[int, ...]
    kind: str
    input_error: float
    error: float
    worst_element: int
    group: str


@dataclasses.dataclass(frozen=True)
class AuditReport:
    """The result of `audit`; printing it shows a table.

    Attributes:
      group: the group.
      elements: its elements that were tested; layers with a larger group were tested with those of their own.
      tolerance: the error above which a layer is not equivariant.
      rows: one for each call of a submodule, in the order in which they begin.
      fault: the path of the first place where the error jumps, None if there is none.
      cause: the likely cause.
      remark: set if errors exceed the tolerance but the same audit in float64 shows that they are round-off.
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
        """Whether every layer is equivariant."""
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
            mark = "" if row.group == self.group.name else f" of {row.group}"
            mark += "  <-- here" if row.path == self.fault else ""
            lines.append(
                f"{row.path:<{width}}  {row.module:<{module_width}}  {row.kind:<{kind_width}}  {row.error:8.1e}  "
                f"{row.worst_element:>7}{mark}"
            )
        lines.append(
            "No layer loses equivariance." if self.passed else f"Equivariance is lost at {self.fault}: {self.cause}"
        )
        if self.remark:
            lines.append(f"Round-off: {self.remark}")
        return "\n".join(lines)

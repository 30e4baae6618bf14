"""The audit of a network: the equivariance error of every layer, on the terminal and in metrics.jsonl."""

from typing import Any

import jax.numpy as jnp
import numpy as np
from flax import nnx

from experiments.results.logs import Terminal
from gequi_jax import groups, testing


def audit(model: nnx.Module, *, group: groups.FiniteGroup, image_shape: tuple[int, ...]) -> testing.AuditReport:
    """Audits a network on noise, which finds more than images: their borders are often empty.

    Args:
      model: the network, which is not changed.
      group: its symmetry.
      image_shape: spatial sizes and channels.
    """
    noise = np.random.default_rng(0).normal(size=(2, *image_shape))
    return testing.audit(model, jnp.asarray(noise, jnp.float32), group=group)


def say(report: testing.AuditReport, when: str, terminal: Terminal, *, table: bool) -> None:
    """Prints the result of an audit.

    Args:
      report: the audit.
      when: how the line begins, such as "before training".
      terminal: the terminal of the run.
      table: also print every layer; otherwise only if a layer fails or there is a remark.
    """
    verdict = "all layers are equivariant" if report.passed else f"{report.fault} is not equivariant: {report.cause}"
    terminal.say(
        f"audit {when}: {verdict}; largest relative error {report.largest_error:.1e} over {len(report.rows)} calls"
    )
    if table or report.remark or not report.passed:
        terminal.say(str(report))


def record(report: testing.AuditReport, *, step: int, final: bool) -> dict[str, Any]:
    """The audit as a record of metrics.jsonl.

    Args:
      report: the audit.
      step: number of updates made.
      final: whether the weights are those that the run ends with. An interrupted run repeats such a record.
    """
    return {
        "kind": "audit",
        "step": step,
        "passed": report.passed,
        "fault": report.fault,
        "largest_error": report.largest_error,
        "tolerance": report.tolerance,
        "remark": report.remark,
        "final": final,
    }

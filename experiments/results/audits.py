"""The audit of a run's network: what every layer loses of the symmetry, before training, during it and after."""

import jax
import numpy as np
from flax import nnx

from experiments.config import Config
from experiments.results import summary
from experiments.results.logs import MetricsLog, Terminal
from gequi_jax import testing


def show(
    config: Config,
    model: nnx.Module,
    *,
    step: int,
    when: str,
    image_shape: tuple[int, ...],
    terminal: Terminal,
    log: MetricsLog,
    table: bool,
    final: bool = False,
) -> None:
    """Audits a network on noise, says what was found, and writes a record of the kind "audit".

    Args:
      config: of the run.
      model: the network with the weights of `step`; it is not changed.
      step: updates made.
      when: how the line begins, such as "before training".
      image_shape: rows, columns, channels.
      terminal: where it is said.
      log: where it is recorded.
      table: show every layer; without it, only where there is something to see.
      final: of the weights that the run ends with; a run that is broken off before its summary makes this record again.
    """
    # Noise finds more than images, whose borders are often empty.
    x = jax.numpy.asarray(np.random.default_rng(0).normal(size=(2, *image_shape)), np.float32)
    report = testing.audit(model, x, group=summary.model_group(config))
    found = (
        "no layer loses equivariance" if report.passed else f"equivariance is lost at {report.fault}: {report.cause}"
    )
    terminal.say(f"audit {when}: {found}; largest relative error {report.largest_error:.1e}, {len(report.rows)} calls")
    if table or report.remark or not report.passed:
        terminal.say(str(report))
    log.write(
        {
            "kind": "audit",
            "step": step,
            "passed": report.passed,
            "fault": report.fault,
            "largest_error": report.largest_error,
            "tolerance": report.tolerance,
            "remark": report.remark,
            "final": final,
        }
    )

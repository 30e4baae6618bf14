"""The first step with a value that is not finite: recorded on the device at every step, read when the host reads metrics.

A parameter group is one top-level module of the network: the first part of the path of a parameter.
"""

from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Bool, Float, Int

REMEDY = "try a lower --config.learning_rate or a --config.gradient_clip, in another --workdir"


class Divergence(NamedTuple):
    """The first step with a value that is not finite.

    Attributes:
      step: counted from 1; 0 if all values have been finite.
      images: whether its images were not finite.
      loss: whether its loss was not finite.
      gradients: the groups whose gradients were not finite.
      parameters: the groups whose parameters or statistics were not finite after the update.
      largest: the largest magnitude of a parameter in each group before the update.
    """

    step: Int[Array, ""]
    images: Bool[Array, ""]
    loss: Bool[Array, ""]
    gradients: Bool[Array, " groups"]
    parameters: Bool[Array, " groups"]
    largest: Float[Array, " groups"]


def group_names(model: nnx.Module, params: Mapping[Hashable, Any]) -> tuple[Hashable, ...]:
    """The parameter groups of a network, in the order in which its constructor created them."""
    made = [name for name in vars(model) if name in params]
    return (*made, *(name for name in params if name not in made))


def none_yet(num_groups: int) -> Divergence:
    """The value before the first step."""
    return Divergence(
        step=jnp.zeros((), jnp.int32),
        images=jnp.zeros((), bool),
        loss=jnp.zeros((), bool),
        gradients=jnp.zeros(num_groups, bool),
        parameters=jnp.zeros(num_groups, bool),
        largest=jnp.zeros(num_groups, jnp.float32),
    )


def note(
    before: Divergence,
    names: Sequence[Hashable],
    *,
    step: Array,
    images: Array,
    loss: Array,
    gradients: Mapping[Hashable, Any],
    params: Mapping[Hashable, Any],
    updated: Sequence[Mapping[Hashable, Any]],
) -> Divergence:
    """Records which values of one step are not finite, unless an earlier step is recorded.

    Args:
      before: the record of the steps so far.
      names: the parameter groups.
      step: number of this step, counted from 1.
      images: its batch.
      loss: the loss of the batch.
      gradients: gradients of the loss.
      params: the parameters before the update.
      updated: the parameters, and the other arrays of the network, after the update.
    """
    found = Divergence(
        step=step,
        images=_not_finite([images]),
        loss=_not_finite([loss]),
        gradients=jnp.stack([_not_finite([gradients[name]]) for name in names]),
        parameters=jnp.stack([_not_finite([tree[name] for tree in updated if name in tree]) for name in names]),
        largest=jnp.stack([_largest(params[name]) for name in names]),
    )
    wrong = found.images | found.loss | jnp.any(found.gradients) | jnp.any(found.parameters)
    first = wrong & (before.step == 0)
    return jax.tree.map(lambda new, old: jnp.where(first, new, old), found, before)


def explain(
    divergence: Divergence, names: Sequence[Hashable], *, seeds: Sequence[int], steps_per_epoch: int
) -> str | None:
    """The first step that was not finite, and the probable cause, in one sentence; None if all were finite.

    Waits for the device.

    Args:
      divergence: the record, with a leading axis of seeds if there are several.
      names: the parameter groups.
      seeds: the seeds of the run; the first to diverge is reported.
      steps_per_epoch: number of updates in one epoch.
    """
    steps = np.atleast_1d(np.asarray(divergence.step))
    if not steps.any():
        return None
    index = int(np.argmin(np.where(steps > 0, steps, np.iinfo(steps.dtype).max)))
    leaves: list[Any] = [np.asarray(leaf)[index] if len(seeds) > 1 else np.asarray(leaf) for leaf in divergence]
    first = Divergence(*leaves)
    where = f"at step {steps[index]}, in epoch {(steps[index] - 1) // steps_per_epoch + 1}"
    if len(seeds) > 1:
        where += f", of seed {seeds[index]}"
    return _cause(first, names, where)


def _cause(first: Divergence, names: Sequence[Hashable], where: str) -> str:
    if first.images:
        return f"the images are not finite {where}; look for nan and infinity in the training data"
    if first.loss:
        # With the loss nearly all gradients are lost; the group with the largest parameters is the likely cause.
        suspects = np.asarray(first.gradients if first.gradients.any() else np.ones(len(names), bool))
        group = int(np.argmax(np.where(suspects, first.largest, -1)))
        return (
            f"the loss is not finite {where}: the run has diverged, first in {_group(names, group, suspects)}, whose "
            f"parameters had reached {first.largest[group]:.1e}; {REMEDY}"
        )
    if first.gradients.any():
        # The backward pass starts at the last group and propagates to those before it.
        affected = np.asarray(first.gradients)
        return (
            f"the gradients are not finite {where}, though the loss is: first in "
            f"{_group(names, int(np.flatnonzero(affected)[-1]), affected)}; look after it for a root, a logarithm or a "
            "division at zero"
        )
    affected = np.asarray(first.parameters)
    group = int(np.argmax(np.where(affected, first.largest, -1)))
    return (
        f"the update is not finite {where}: the run has diverged, first in {_group(names, group, affected)}; {REMEDY}"
    )


def _group(names: Sequence[Hashable], group: int, affected: np.ndarray) -> str:
    others = int(affected.sum()) - 1
    return f"parameter group {str(names[group])!r}" + (f" (and {others} more)" if others > 0 else "")


def _not_finite(trees: Iterable[Any]) -> Bool[Array, ""]:
    checks = [jnp.all(jnp.isfinite(leaf)) for leaf in _floating(trees)]
    return ~jnp.all(jnp.stack(checks)) if checks else jnp.zeros((), bool)


def _largest(tree: Any) -> Float[Array, ""]:
    sizes = [jnp.max(jnp.abs(leaf)).astype(jnp.float32) for leaf in _floating([tree]) if leaf.size]
    return jnp.max(jnp.stack(sizes)) if sizes else jnp.zeros((), jnp.float32)


def _floating(trees: Iterable[Any]) -> list[Array]:
    return [leaf for leaf in jax.tree.leaves(list(trees)) if jnp.issubdtype(leaf.dtype, jnp.floating)]

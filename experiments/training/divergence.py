"""Where a run stops being finite: noted on the device at every step, read where the host reads metrics anyway.

A group of parameters is one module at the top of the network, the first part of a parameter's path.
"""

from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Bool, Float, Int

SLOWER = "a lower --config.learning_rate or a --config.gradient_clip, in another --workdir, may help"


class Divergence(NamedTuple):
    """The first step at which anything was not finite, and what it was.

    Attributes:
      step: counted from 1; 0 as long as everything is finite.
      images: whether its images were not.
      loss: whether its loss was not.
      gradients: the groups whose gradients were not.
      parameters: the groups whose parameters, or statistics, were not after its update.
      largest: the largest magnitude of a parameter in each group before its update.
    """

    step: Int[Array, ""]
    images: Bool[Array, ""]
    loss: Bool[Array, ""]
    gradients: Bool[Array, " groups"]
    parameters: Bool[Array, " groups"]
    largest: Float[Array, " groups"]


def group_names(model: nnx.Module, params: Mapping[Hashable, Any]) -> tuple[Hashable, ...]:
    """The groups of a network in the order in which its constructor made them."""
    made = [name for name in vars(model) if name in params]
    return (*made, *(name for name in params if name not in made))


def none_yet(num_groups: int) -> Divergence:
    """Everything finite so far."""
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
    """Notes what is not finite in one step, unless an earlier step has been noted.

    Args:
      before: of the steps so far.
      names: of the groups.
      step: number of this step, counted from 1.
      images: its batch.
      loss: of that batch.
      gradients: of the loss.
      params: that the loss was computed with.
      updated: parameters, and the other arrays of the network, after the step.
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
    """Says in one sentence where a run stopped being finite, or None where it did not; waits for the device.

    Args:
      divergence: of a state, with a leading axis of seeds where there are several.
      names: of the groups.
      seeds: of the run; the first to diverge is named.
      steps_per_epoch: updates in one epoch.
    """
    steps = np.atleast_1d(np.asarray(divergence.step))
    if not steps.any():
        return None
    index = int(np.argmin(np.where(steps > 0, steps, np.iinfo(steps.dtype).max)))
    found = divergence
    if len(seeds) > 1:
        found = Divergence(*(np.asarray(leaf)[index] for leaf in divergence))
    found = Divergence(*(np.asarray(leaf) for leaf in found))
    step = int(steps[index])
    place = f"at step {step}, in epoch {(step - 1) // steps_per_epoch + 1}"
    if len(seeds) > 1:
        place += f", of seed {seeds[index]}"

    def named(group: int, others: np.ndarray) -> str:
        more = int(others.sum()) - 1
        return f"parameter group {str(names[group])!r}" + (f" (and {more} more)" if more > 0 else "")

    if found.images:
        return f"the images are not finite {place}; look for nan and infinity in the training data"
    if found.loss:
        # Nearly always every gradient is lost with the loss; what grew beforehand is the largest.
        suspects = found.gradients if found.gradients.any() else np.ones(len(names), bool)
        group = int(np.argmax(np.where(suspects, found.largest, -1)))
        return (
            f"the loss is not finite {place}: the run has diverged, first in {named(group, suspects)}, whose parameters "
            f"had reached {found.largest[group]:.1e}; {SLOWER}"
        )
    if found.gradients.any():
        # The backward pass comes to the last group first, and carries on to those before it.
        group = int(np.flatnonzero(found.gradients)[-1])
        return (
            f"the gradients are not finite {place}, though the loss is: first in {named(group, found.gradients)}; "
            "look behind it for a root, a logarithm or a division at zero"
        )
    group = int(np.argmax(np.where(found.parameters, found.largest, -1)))
    return (
        f"the update is not finite {place}: the run has diverged, first in {named(group, found.parameters)}; {SLOWER}"
    )


def _not_finite(trees: Iterable[Any]) -> Bool[Array, ""]:
    checks = [jnp.all(jnp.isfinite(leaf)) for leaf in _floating(trees)]
    return ~jnp.all(jnp.stack(checks)) if checks else jnp.zeros((), bool)


def _largest(tree: Any) -> Float[Array, ""]:
    sizes = [jnp.max(jnp.abs(leaf)).astype(jnp.float32) for leaf in _floating([tree]) if leaf.size]
    return jnp.max(jnp.stack(sizes)) if sizes else jnp.zeros((), jnp.float32)


def _floating(trees: Iterable[Any]) -> list[Array]:
    return [leaf for leaf in jax.tree.leaves(list(trees)) if jnp.issubdtype(leaf.dtype, jnp.floating)]

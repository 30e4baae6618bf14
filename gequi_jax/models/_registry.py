"""From the name of a row in the papers' tables to a network.

A name holds a group: `rotmnist_r4_sa` is the family `rotmnist_{group}_sa` with the group r4, and any other group name is
accepted in its place.
"""

import dataclasses
import functools
import inspect
import math
from collections.abc import Mapping
from typing import Any, Literal

import jax
import jax.numpy as jnp
from flax import nnx

from gequi_jax._checks import check_group
from gequi_jax.groups import FiniteGroup
from gequi_jax.models._families import find_family, group_part, names_of_models
from gequi_jax.models._family import Family
from gequi_jax.models._spec import ModelSpec
from gequi_jax.models._weights import pretrained_info, pretrained_model, pretrained_names


@dataclasses.dataclass(frozen=True)
class ModelInfo:
    """What is known of a model before it is built.

    Attributes:
      name: its name in the registry.
      paper: where its architecture was published.
      table: the table there that has networks of this kind, or None.
      group: the group H it is equivariant to.
      input_shape: `(*spatial, channels)` of the images or volumes it takes.
      num_classes: the number of logits.
      reported_params: parameters as the paper prints them, rounded there, or None.
      reported_metric: test accuracy in percent, 100 minus the error where the paper prints that, or None. The published
        codes of both papers choose the epoch by the test set on rotMNIST and CIFAR-10, so these figures are optimistic.
      output: how the group acts on the output: "invariant" for logits `[batch, classes]`, "grid" for logits at each position,
        `[batch, *spatial, classes]`.
      num_params: parameters, counted.
      flops: operations for one image, as XLA counts them before it optimises; it counts the body of a loop once.
      pretrained_metrics: what was measured with the weights that `create_model(..., pretrained=True)` loads, or None.
      overrides: arguments of the network's constructor that differ from the published ones.
    """

    name: str
    paper: str
    table: str | None
    group: FiniteGroup
    input_shape: tuple[int, ...]
    num_classes: int
    reported_params: int | None
    reported_metric: float | None
    output: Literal["invariant", "grid"] = "invariant"
    pretrained_metrics: Mapping[str, Any] | None = None
    overrides: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    @functools.cached_property
    def num_params(self) -> int:
        return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(nnx.state(self._outline, nnx.Param)))

    @functools.cached_property
    def flops(self) -> float:
        graph, state = nnx.split(self._outline)
        images = jax.ShapeDtypeStruct((1, *self.input_shape), jnp.float32)
        lowered = jax.jit(lambda state, x: nnx.merge(graph, state)(x)).lower(state, images)
        cost: Any = lowered.cost_analysis()
        return float(cost["flops"])

    @functools.cached_property
    def _outline(self) -> nnx.Module:
        """The network without its arrays."""
        model = nnx.eval_shape(lambda: create_model(self.name, rngs=nnx.Rngs(0), **self.overrides))
        model.eval()
        return model


def list_models(*, pretrained: bool = False) -> list[str]:
    """The names of all networks in the papers' tables, of their baselines, and of the small ones for a first try.

    Args:
      pretrained: list only those whose trained weights come with the package.
    """
    return pretrained_names() if pretrained else names_of_models()


def create_model(
    name: str,
    *,
    rngs: nnx.Rngs,
    pretrained: bool = False,
    dtype: jax.typing.DTypeLike | None = None,
    **overrides: Any,
) -> nnx.Module:
    """Builds a network, called on images or volumes `[batch, *spatial, channels]` and returning logits `[batch, classes]`.

    Networks for segmentation return logits at each position, `[batch, rows, columns, classes]`; those for volumes have one
    more spatial axis.

    Args:
      name: a name from `list_models`, or the same with another group in its place, such as "rotmnist_r8m_sa". Names of
        networks for volumes take the names of `group_by_name(..., dim=3)`, such as "volume_p4m_depth_mirror_cnn".
      rngs: the random streams.
      pretrained: load the trained weights that come with the package, and return the network in `eval()` mode.
        `list_models(pretrained=True)` lists the names; the weights must fit the overrides.
      dtype: the type of the computation, such as `jnp.bfloat16`; inferred from the parameters and the input by default.
        Parameters, softmax and the statistics of norms stay float32.
      **overrides: arguments of the network's constructor that differ from the published ones, such as `group=` (any
        `FiniteGroup`), `input_shape=` or `num_classes=`.

    Raises:
      ValueError: if the name or an override does not exist, or has no trained weights where they are asked for; the
        message lists those that do.

    Example:
      >>> model = create_model("digits_r4_sa", rngs=nnx.Rngs(0), num_classes=2)
    """
    family, group = find_family(name)
    _check_overrides(name, family, overrides)
    if pretrained:
        return pretrained_model(name, overrides if dtype is None else {**overrides, "dtype": dtype}, rngs)
    group = overrides.get("group", group)
    check_group(group)
    arguments = {**family.arguments_for(group), **overrides, "group": group, "dtype": dtype}
    model: Any = family.network(**arguments, rngs=rngs)
    model.spec = ModelSpec.of(name, arguments)
    return model


def model_info(name: str, **overrides: Any) -> ModelInfo:
    """What is known of a model before it is built.

    Args:
      name: as for `create_model`.
      **overrides: as for `create_model`. What the paper reports stays that of the published network.

    Raises:
      ValueError: if the name or an override does not exist; the message lists those that do.
    """
    family, group = find_family(name)
    _check_overrides(name, family, overrides)
    stages = overrides.get("group_by_stage") or (overrides.get("group", group),)
    params, metric = family.reported.get(group_part(family, name) or "", (None, None))
    trained = pretrained_info(name)
    return ModelInfo(
        name=name,
        paper=family.paper,
        table=family.table,
        group=stages[-1],
        input_shape=tuple(overrides.get("input_shape", family.arguments["input_shape"])),
        num_classes=overrides.get("num_classes", family.arguments["num_classes"]),
        reported_params=params,
        reported_metric=metric,
        output=family.output,
        pretrained_metrics=None if trained is None else trained.metrics,
        overrides=overrides,
    )


def _check_overrides(name: str, family: Family, overrides: Mapping[str, Any]) -> None:
    legal = [name for name in inspect.signature(family.network.__init__).parameters if name not in ("self", "rngs")]
    unknown = sorted(set(overrides) - set(legal))
    if unknown:
        raise ValueError(f"overrides: {name} has no argument {unknown[0]!r}; it takes {', '.join(legal)}.")

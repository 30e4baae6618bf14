"""From the name of a row in the papers' tables to a network.

A name holds a group: `rotmnist_r4_sa` is the family `rotmnist_{group}_sa` with the group r4, and any other group name is
accepted in its place.
"""

import dataclasses
import difflib
import inspect
import re
from typing import Any

import jax
from flax import nnx

from gequi_jax._checks import check_group
from gequi_jax.groups import FiniteGroup, group_by_name
from gequi_jax.models import _agc_families, _gsa_net_families
from gequi_jax.models._family import Family

_FAMILIES: tuple[Family, ...] = (*_gsa_net_families.FAMILIES, *_agc_families.FAMILIES)


@dataclasses.dataclass(frozen=True)
class ModelInfo:
    """What is known of a model before it is built.

    Attributes:
      name: its name in the registry.
      paper: where its architecture was published.
      table: the table there that has networks of this kind, or None.
      group: the group H it is equivariant to.
      input_shape: `(rows, columns, channels)` of the images it takes.
      num_classes: the number of logits.
      reported_params: parameters as the paper prints them, rounded there, or None.
      reported_metric: test accuracy in percent, 100 minus the error where the paper prints that, or None. The published
        codes of both papers choose the epoch by the test set on rotMNIST and CIFAR-10, so these figures are optimistic.
    """

    name: str
    paper: str
    table: str | None
    group: FiniteGroup
    input_shape: tuple[int, ...]
    num_classes: int
    reported_params: int | None
    reported_metric: float | None


def list_models() -> list[str]:
    """The names of all networks in the papers' tables, of their baselines, and of the small ones for a first try."""
    return sorted(name for family in _FAMILIES for name in family.names())


def create_model(
    name: str, *, rngs: nnx.Rngs, dtype: jax.typing.DTypeLike | None = None, **overrides: Any
) -> nnx.Module:
    """Builds a network, called on images `[batch, rows, columns, channels]` and returning logits `[batch, classes]`.

    Args:
      name: a name from `list_models`, or the same with another group in its place, such as "rotmnist_r8m_sa".
      rngs: the random streams.
      dtype: the type of the computation, such as `jnp.bfloat16`; inferred from the parameters and the input by default.
        Parameters, softmax and the statistics of norms stay float32.
      **overrides: arguments of the network's constructor that differ from the published ones, such as `group=` (any
        `FiniteGroup`), `input_shape=` or `num_classes=`.

    Raises:
      ValueError: if the name or an override does not exist; the message lists those that do.

    Example:
      >>> model = create_model("digits_r4_sa", rngs=nnx.Rngs(0), num_classes=2)
    """
    family, group = _find(name)
    legal = [name for name in inspect.signature(family.network.__init__).parameters if name not in ("self", "rngs")]
    unknown = sorted(set(overrides) - set(legal))
    if unknown:
        raise ValueError(f"overrides: {name} has no argument {unknown[0]!r}; it takes {', '.join(legal)}.")
    group = overrides.get("group", group)
    check_group(group)
    return family.network(**{**family.arguments_for(group), **overrides, "group": group}, dtype=dtype, rngs=rngs)


def model_info(name: str) -> ModelInfo:
    """What is known of a model before it is built.

    Args:
      name: as for `create_model`.

    Raises:
      ValueError: if the name does not exist; the message lists those that do.
    """
    family, group = _find(name)
    params, metric = family.reported.get(_group_part(family, name) or "", (None, None))
    return ModelInfo(
        name=name,
        paper=family.paper,
        table=family.table,
        group=group,
        input_shape=tuple(family.arguments["input_shape"]),
        num_classes=family.arguments["num_classes"],
        reported_params=params,
        reported_metric=metric,
    )


def _find(name: str) -> tuple[Family, FiniteGroup]:
    for family in _FAMILIES:
        group = _group_part(family, name)
        if group is not None:
            return family, group_by_name(group)
    names = list_models()
    near = difflib.get_close_matches(str(name), names, n=3, cutoff=0.6)
    hint = f"did you mean {' or '.join(near)}? " if near else ""
    raise ValueError(f"model name: there is no {name!r}; {hint}The names are {', '.join(names)}.")


def _group_part(family: Family, name: str) -> str | None:
    pattern = re.escape(family.template).replace(r"\{group\}", r"(z2m?|[pr][1-9]\d*m?)")
    match = re.fullmatch(pattern, str(name))
    return match[1] if match else None

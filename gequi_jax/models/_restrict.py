"""The same network for fewer symmetries, to be trained further."""

import dataclasses
from typing import Any

from flax import nnx

from gequi_jax._checks import check_group
from gequi_jax._modules import with_layers_replaced
from gequi_jax.groups import FiniteGroup, right_cosets
from gequi_jax.models._restriction_rules import restricted
from gequi_jax.models._spec import ModelSpec


def restrict(model: nnx.Module, subgroup: FiniteGroup) -> nnx.Module:
    """The network for a subgroup K that computes the same function as a network for H: a copy with more parameters.

    Poses split into the right cosets of K, and channels multiply by |H| / |K|: convolutions become convolutions on K, norms
    and linear maps grow by the cosets. Self-attention and attention to responses have a copy of their parameters for each
    coset and compute |H| / |K| times as much as before. The outputs are those of the network, up to rounding, in `eval()`
    mode; further training breaks the symmetries that are in H and not in K, where the data ask for it.

    Args:
      model: a network of this package, or any module made of its layers, with an attribute `group`. A network of a user
        must end with an output that reduces all poses of a class, those among its channels too.
      subgroup: the subgroup K; exact for every K that maps the windows of convolutions to themselves. For a network with
        `group_by_stage`, a subgroup of the last group.

    Returns:
      A network that is equivariant under K, with `group` K. `save_weights` and `load_model` know it.

    Raises:
      ValueError: if K is not a subgroup of H, or there is no rule for a layer.

    Example:
      >>> from gequi_jax.groups import group_by_name
      >>> from gequi_jax.models import create_model
      >>> model = create_model("digits_alpha_f_p4_cnn", rngs=nnx.Rngs(0))
      >>> restrict(model, group_by_name("z2")).group.order
      1
    """
    check_group(subgroup)
    group = getattr(model, "group", None)
    if not isinstance(group, FiniteGroup):
        raise ValueError(
            f"model: expected a module with an attribute `group`; got {type(model).__name__}; set model.group to the group "
            "that its layers were built with."
        )
    right_cosets(group, subgroup)

    narrow = nnx.clone(model)
    groups = _group_of_each_module(narrow, group)

    def replace(module: Any) -> nnx.Module | None:
        layer = restricted(module, groups[id(module)], subgroup)
        if layer is None and isinstance(getattr(module, "group", None), FiniteGroup):
            module.group = subgroup
        return layer

    narrow = with_layers_replaced(narrow, replace)
    spec = getattr(model, "spec", None)
    if isinstance(spec, ModelSpec):
        narrow.spec = dataclasses.replace(spec, restricted_to=(*spec.restricted_to, subgroup))
    return narrow


def _group_of_each_module(model: nnx.Module, group: FiniteGroup) -> dict[int, FiniteGroup]:
    """By the identity of each module, its own group or that of the nearest module around it.

    The layers of a network with `group_by_stage` have groups of their own, and some layers, such as norms, name none.
    """
    by_path: dict[tuple, FiniteGroup] = {}
    by_module: dict[int, FiniteGroup] = {}
    for path, module in sorted(nnx.iter_modules(model), key=lambda entry: len(entry[0])):
        own: Any = getattr(module, "group", None)
        around = next((by_path[path[:end]] for end in range(len(path) - 1, -1, -1) if path[:end] in by_path), group)
        by_path[path] = by_module[id(module)] = own if isinstance(own, FiniteGroup) else around
    return by_module

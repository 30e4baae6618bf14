"""The groups of the layers of a network: more than one, if its symmetry shrinks with depth."""

from flax import nnx

from gequi_jax.groups import FiniteGroup, subgroup_elements


def contains(group: FiniteGroup, subgroup: FiniteGroup) -> bool:
    """Whether a group is a subgroup of another."""
    try:
        subgroup_elements(group, subgroup)
    except ValueError:
        return False
    return True


def layer_groups(model: nnx.Module) -> list[FiniteGroup]:
    """The groups that the submodules of a model have as their attribute `group`, each once."""
    groups = (getattr(module, "group", None) for _, module in nnx.iter_modules(model))
    return list(dict.fromkeys(group for group in groups if isinstance(group, FiniteGroup)))

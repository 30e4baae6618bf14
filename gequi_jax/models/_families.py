"""All families of networks, and the family and the group of a name."""

import difflib
import re

from gequi_jax.groups import FiniteGroup, group_by_name
from gequi_jax.models import _agc_families, _gsa_net_families, _unet_families, _vit_families, _volume_families
from gequi_jax.models._family import Family

FAMILIES: tuple[Family, ...] = (
    *_gsa_net_families.FAMILIES,
    *_agc_families.FAMILIES,
    *_unet_families.FAMILIES,
    *_volume_families.FAMILIES,
    *_vit_families.FAMILIES,
)

_PLANAR = r"(?:z2m?|[pr][1-9]\d*m?)"
# What stands for the group in a name, by the dimension of the family.
_GROUPS = {
    2: _PLANAR,
    3: rf"(?:tetrahedral|octahedral|full_octahedral|icosahedral|{_PLANAR}(?:_depth_mirror)?)",
}


def names_of_models() -> list[str]:
    """The names of all networks in the papers' tables, of their baselines, of the small ones for a first try, and for volumes."""
    return sorted(name for family in FAMILIES for name in family.names())


def find_family(name: str) -> tuple[Family, FiniteGroup]:
    """The family of a name and the group that the name holds.

    Raises:
      ValueError: if the name does not exist; the message lists those that do.
    """
    for family in FAMILIES:
        group = group_part(family, name)
        if group is not None:
            return family, group_by_name(group, dim=family.dim)
    names = names_of_models()
    near = difflib.get_close_matches(str(name), names, n=3, cutoff=0.6)
    hint = f"did you mean {' or '.join(near)}? " if near else ""
    raise ValueError(f"model name: there is no {name!r}; {hint}The names are {', '.join(names)}.")


def group_part(family: Family, name: str) -> str | None:
    """The group in a name of this family, None if the name is of another."""
    pattern = re.escape(family.template).replace(r"\{group\}", f"({_GROUPS[family.dim]})")
    match = re.fullmatch(pattern, str(name))
    return match[1] if match else None

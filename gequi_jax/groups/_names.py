"""The names of groups: those of the literature in the plane, and words for signals and volumes."""

import re

from gequi_jax.groups._finite_group import FiniteGroup
from gequi_jax.groups._planar import cyclic_group, dihedral_group, mirror_group, trivial_group
from gequi_jax.groups._polyhedral import (
    full_octahedral_group,
    icosahedral_group,
    in_plane,
    octahedral_group,
    tetrahedral_group,
)

# Of a group that is named. Tables grow with the square of the order, and a typing error should not fill the memory.
_MAX_NAMED_ORDER = 512
_POLYHEDRAL = {
    "tetrahedral": tetrahedral_group,
    "octahedral": octahedral_group,
    "full_octahedral": full_octahedral_group,
    "icosahedral": icosahedral_group,
}
_DEPTH_MIRROR = "_depth_mirror"


def group_by_name(name: str, *, dim: int | None = None) -> FiniteGroup:
    """The group of a name, in one, two or three dimensions.

    Planar names, `dim=2` and the default: `"z2"` is the trivial group and `"z2m"` the mirror group; `"p4"` or `"r4"` is
    C_4, `"p4m"` or `"r4m"` is D_4, and so for every number of rotations. Names stop at groups of 512 elements;
    `cyclic_group` and `dihedral_group` do not.

    Volumes, `dim=3`: `"tetrahedral"`, `"octahedral"`, `"full_octahedral"` and `"icosahedral"`, which need no `dim`.
    Planar names with `dim=3` act within the slices of a volume `[depth, rows, columns]`, as `in_plane` does: `"z2"` is
    the trivial group, `"p4m"` is D_4 on rows and columns. `"p4m_depth_mirror"` and so on add the mirror along the depth.

    Signals, `dim=1`: `"z2"` is the trivial group and `"z2m"` the mirror group.

    Args:
      name: the name.
      dim: the dimension of the space; by default that of the name, 2 for planar names.

    Raises:
      ValueError: if the name is none of these, names a group of more elements, or has no meaning in that dimension.

    Example:
      >>> group_by_name("r8m").order, group_by_name("p4m", dim=3).dim, group_by_name("octahedral").order
      (16, 3, 24)
    """
    if dim not in (None, 1, 2, 3):
        raise ValueError(f"dim: expected 1, 2 or 3; got {dim!r}.")
    if isinstance(name, str) and name in _POLYHEDRAL:
        if dim not in (None, 3):
            raise ValueError(
                f"group name: expected the name of a group in dimension {dim}; got {name!r}, of dimension 3."
            )
        return _POLYHEDRAL[name]()
    if dim == 1:
        return _linear(name)
    if dim == 3 and isinstance(name, str):
        planar = name.removesuffix(_DEPTH_MIRROR)
        return in_plane(_planar(planar, order_factor=1 if planar == name else 2), mirror=planar != name)
    return _planar(name)


def _linear(name: str) -> FiniteGroup:
    groups = {"z2": trivial_group, "z2m": mirror_group}
    if name not in groups:
        raise ValueError(f"group name: expected 'z2' or 'z2m' in dimension 1; got {name!r}.")
    return groups[name](1)


def _planar(name: str, order_factor: int = 1) -> FiniteGroup:
    if name == "z2":
        return trivial_group()
    if name == "z2m":
        return mirror_group()
    match = re.fullmatch(r"[pr]([1-9][0-9]*)(m?)", name) if isinstance(name, str) else None
    if match is None:
        raise ValueError(
            f"group name: expected 'z2', 'z2m', 'p<n>' or 'r<n>' for n rotations, or 'p<n>m' or 'r<n>m' with mirroring "
            f"(such as 'p4', 'p4m', 'r8'); or, in dimension 3, {', '.join(map(repr, _POLYHEDRAL))}, or a planar name, "
            f"alone or with {_DEPTH_MIRROR!r} after it; got {name!r}."
        )
    build, factor = (dihedral_group, 2) if match[2] else (cyclic_group, 1)
    largest = _MAX_NAMED_ORDER // (factor * order_factor)
    # The digits are counted first: Python refuses to read a number of thousands of them.
    if len(match[1]) > len(str(largest)) or int(match[1]) > largest:
        rotations = match[1] if len(match[1]) <= 20 else f"a number of {len(match[1])} digits"
        raise ValueError(
            f"group name: expected at most {largest} rotations{' with mirroring' if match[2] else ''}, a group of "
            f"{_MAX_NAMED_ORDER} elements; got {rotations}. Layers grow with the order: take fewer, such as 'p16', or "
            f"build a larger group with {build.__name__}(n)."
        )
    return build(int(match[1]))

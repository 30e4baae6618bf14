"""Finite groups of matrices: the point group H of G = R^d x| H. NumPy only, in float64."""

from gequi_jax.groups._dilations import DyadicDilations as DyadicDilations
from gequi_jax.groups._finite_group import FiniteGroup as FiniteGroup
from gequi_jax.groups._planar import cyclic_group as cyclic_group
from gequi_jax.groups._planar import dihedral_group as dihedral_group
from gequi_jax.groups._planar import group_by_name as group_by_name
from gequi_jax.groups._planar import mirror_group as mirror_group
from gequi_jax.groups._planar import trivial_group as trivial_group
from gequi_jax.groups._rotations_and_mirrors import rotations_and_mirrors as rotations_and_mirrors

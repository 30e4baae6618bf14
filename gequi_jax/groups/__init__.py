"""Finite groups of matrices: the point group H of G = R^d x| H. NumPy only, in float64."""

from gequi_jax.groups._dilations import DyadicDilations as DyadicDilations
from gequi_jax.groups._finite_group import FiniteGroup as FiniteGroup
from gequi_jax.groups._fourier import FourierBlock as FourierBlock
from gequi_jax.groups._fourier import fourier_blocks as fourier_blocks
from gequi_jax.groups._fourier import group_fourier_basis as group_fourier_basis
from gequi_jax.groups._irreducible_representations import IrreducibleRepresentation as IrreducibleRepresentation
from gequi_jax.groups._irreducible_representations import irreducible_representations as irreducible_representations
from gequi_jax.groups._names import group_by_name as group_by_name
from gequi_jax.groups._planar import cyclic_group as cyclic_group
from gequi_jax.groups._planar import dihedral_group as dihedral_group
from gequi_jax.groups._planar import mirror_group as mirror_group
from gequi_jax.groups._planar import trivial_group as trivial_group
from gequi_jax.groups._polyhedral import full_octahedral_group as full_octahedral_group
from gequi_jax.groups._polyhedral import icosahedral_group as icosahedral_group
from gequi_jax.groups._polyhedral import in_plane as in_plane
from gequi_jax.groups._polyhedral import octahedral_group as octahedral_group
from gequi_jax.groups._polyhedral import tetrahedral_group as tetrahedral_group
from gequi_jax.groups._rotations_and_mirrors import rotations_and_mirrors as rotations_and_mirrors
from gequi_jax.groups._subgroups import left_cosets as left_cosets
from gequi_jax.groups._subgroups import right_cosets as right_cosets
from gequi_jax.groups._subgroups import subgroup_elements as subgroup_elements

"""Arrays of the code published with the two papers, into the layers and models of this package."""

from gequi_jax.interop._pytorch import element_order as element_order
from gequi_jax.interop._pytorch import from_pytorch as from_pytorch
from gequi_jax.interop._pytorch import load_pytorch as load_pytorch

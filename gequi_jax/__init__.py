"""Group-equivariant attention on images, exact for every finite group.

The conventions, stated once:

* Layout. Channels last. A function on R^d, an image, is an array `[batch, *spatial, channels]`; a function on the
  group G = R^d x| H, a feature map, is `[batch, *spatial, group, channels]`.
* Positions are offsets in array order, (row, column) in the plane, with rows growing downwards. An element h of H
  is a d x d matrix that acts on them.
* Orientation. Element k of `cyclic_group(n)` turns an image as displayed by 360 k / n degrees counter-clockwise:
  element 1 of C_4 is `np.rot90(x, 1, axes=(row, column))`.
* Every action is a left action: (L_g f)(x) = f(g^-1 x) on images, (L_g f)(x, h) = f(g^-1 x, g^-1 h) on feature maps.

Use the names of the subpackages (`gequi_jax.nn.GroupConv`, `gequi_jax.groups.cyclic_group`); the files inside them,
which start with an underscore, may move.
"""

from gequi_jax import actions, functional, groups, interop, models, nn, testing

__version__ = "0.1.0"

__all__ = ["__version__", "actions", "functional", "groups", "interop", "models", "nn", "testing"]

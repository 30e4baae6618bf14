"""Group-equivariant attention for images and volumes, exact for every finite group.

Conventions:

* Layout. Channels come last. An image (a function on R^d) is an array `[batch, *spatial, channels]`. A feature map (a
  function on the group G = R^d x| H) is an array `[batch, *spatial, group, channels]`.
* Positions are offsets in array order, (row, column) in the plane, with rows growing downwards. An element h of H
  is a d x d matrix that acts on them.
* Orientation. Element k of `cyclic_group(n)` rotates the displayed image counter-clockwise by 360 k / n degrees.
  Element 1 of C_4 is `np.rot90(x, 1, axes=(row, column))`.
* Every action is a left action: (L_g f)(x) = f(g^-1 x) on images, (L_g f)(x, h) = f(g^-1 x, g^-1 h) on feature maps.

Import names from the subpackages (`gequi_jax.nn.GroupConv`, `gequi_jax.groups.cyclic_group`). The files inside them
start with an underscore and may move.
"""

from gequi_jax import actions, functional, groups, interop, models, nn, testing

__version__ = "0.1.0"

__all__ = ["__version__", "actions", "functional", "groups", "interop", "models", "nn", "testing"]

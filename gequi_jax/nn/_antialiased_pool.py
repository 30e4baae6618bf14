"""The layer that reduces a grid behind a binomial filter."""

from flax import nnx

from gequi_jax import functional
from gequi_jax._checks import check_group, check_positive_integer
from gequi_jax._typing import Array, Float
from gequi_jax.groups import FiniteGroup


class AntialiasedPool(nnx.Module):
    """Blurs with a binomial filter and keeps one position of every block, for every pose and channel separately.

        y(i) = sum_k b_k f(s i + t + k)

    for the stride s and binomial coefficients b_k; `gequi_jax.functional.antialiased_pool` defines the offset t.
    Equivariant: L_g on the input becomes L_g on the output, since the filter and the positions are symmetric about the
    centre of the grid.

    Args:
      window_size: the stride s.
      group: the group H, whose dimension is that of the grid.

    Raises:
      ValueError: if `window_size` is not positive; when called, if the stride does not fit a side.

    Reference: Zhang (2019).

    Example:
      >>> import jax.numpy as jnp
      >>> from gequi_jax.groups import cyclic_group
      >>> AntialiasedPool(2, group=cyclic_group(4))(jnp.ones((2, 6, 9, 4, 3))).shape
      (2, 3, 5, 4, 3)
    """

    def __init__(self, window_size: int = 2, *, group: FiniteGroup):
        check_group(group)
        self.window_size = check_positive_integer("window_size", window_size)
        self.group = group

    def __call__(self, x: Float[Array, "batch *rest"]) -> Array:
        """Maps images or feature maps, `[batch, *spatial, ...]`, to smaller ones."""
        return functional.antialiased_pool(x, dim=self.group.dim, window_size=self.window_size)

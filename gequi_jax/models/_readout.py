"""The pooling over all poses at the end of a classifier, also after its symmetry was restricted."""

from gequi_jax import functional
from gequi_jax._typing import Array, Float


def pool_over_poses(
    x: Float[Array, "batch *spatial group channels"], num_classes: int, *, reduction: functional.Reduction = "max"
) -> Float[Array, "batch *spatial classes"]:
    """Reduces the poses of every class: the group axis, and the cosets that `restrict` made channels.

    Args:
      x: the scores of each pose, `[..., group, num_classes * cosets]`, with the cosets of a class next to each other.
      num_classes: the number of classes.
      reduction: "max", "mean" or "sum".
    """
    cosets = x.shape[-1] // num_classes
    if cosets > 1:
        by_coset = x.reshape(*x.shape[:-1], num_classes, cosets).swapaxes(-1, -2)
        x = by_coset.reshape(*x.shape[:-2], x.shape[-2] * cosets, num_classes)
    return functional.group_pool(x, reduction=reduction)

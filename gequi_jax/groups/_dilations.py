"""Dyadic dilations: scales that are powers of two, and the Haar weights of the group of dilations and translations."""

import dataclasses

import numpy as np
from jaxtyping import Float, Int


@dataclasses.dataclass(frozen=True)
class DyadicDilations:
    """The scales 1, 2, 4, ..., a finite subset of the dilation group H = (R_>0, x) acting on R^d.

        (L_h f)(x) = f(x / h)

    A dilation h maps x to h x and magnifies an image by a factor h. H is not finite. The scales kept here are closed
    under products only up to the largest one, so a layer is equivariant except at its largest scales, just as it is
    equivariant except near the border of an image. G = R^d x| H is not unimodular: h multiplies volumes by h^d, and the
    left Haar measure on G is dx dh / h^(d+1).

    Args:
      num_scales: the number of scales.
      dim: the dimension d of the space.

    Raises:
      ValueError: if an argument is not a positive integer.

    Reference: Romero & Cordonnier (2021), Appendix E.

    Example:
      >>> dilations = DyadicDilations(3)
      >>> dilations.scales.tolist(), dilations.lifting_weights.tolist()
      ([1, 2, 4], [1.0, 0.25, 0.0625])
    """

    num_scales: int
    dim: int = 2

    def __post_init__(self):
        for argument in ("num_scales", "dim"):
            value = getattr(self, argument)
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise ValueError(f"{argument}: expected a positive integer; got {value!r}.")

    @property
    def scales(self) -> Int[np.ndarray, " scale"]:
        """The scales h, in increasing order from 1."""
        return 2 ** np.arange(self.num_scales)

    @property
    def lifting_weights(self) -> Float[np.ndarray, " scale"]:
        """The weights 1 / h^d of a sum over positions."""
        return 1.0 / self.scales.astype(np.float64) ** self.dim

    @property
    def group_weights(self) -> Float[np.ndarray, " scale"]:
        """The weights 1 / h^(d+1) of a sum over positions and scales, with respect to dx dh."""
        return 1.0 / self.scales.astype(np.float64) ** (self.dim + 1)

    @property
    def octave_weights(self) -> Float[np.ndarray, " scale"]:
        """The Haar weights 1 / h^d of a sum over positions and over the scales of this set.

        An octave at h is an interval dh proportional to h, so dx dh / h^(d+1) is proportional to h^-d dx.
        """
        return self.group_weights * self.scales

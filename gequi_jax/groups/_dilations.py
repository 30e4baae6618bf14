"""Dyadic dilations: scales that are powers of two, with the Haar weights of the dilation-translation group."""

import dataclasses

import numpy as np
from jaxtyping import Float, Int


@dataclasses.dataclass(frozen=True)
class DyadicDilations:
    """The scales 1, 2, 4, ..., a piece of the dilation group H = (R_>0, x) acting on R^d.

    A dilation h maps x to h x and (L_h f)(x) = f(x / h): it magnifies an image h times. H is not finite; the scales kept
    here are closed under products only up to the largest, so a layer over them is equivariant away from its largest
    scales, as it is away from the borders of an image. Nor is H unimodular: h multiplies volumes by h^d, and on
    G = R^d x| H the measure that translations and dilations leave alone is dx dh / h^(d+1).

    Args:
      num_scales: how many scales.
      dim: the dimension d of the space.

    Raises:
      ValueError: if one of them is not a positive integer.

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
        """The scales h, from 1 up."""
        return 2 ** np.arange(self.num_scales)

    @property
    def lifting_weights(self) -> Float[np.ndarray, " scale"]:
        """1 / h^d, the weights of a sum over positions."""
        return 1.0 / self.scales.astype(np.float64) ** self.dim

    @property
    def group_weights(self) -> Float[np.ndarray, " scale"]:
        """1 / h^(d+1), the weights of a sum over positions and scales, with respect to dx dh."""
        return 1.0 / self.scales.astype(np.float64) ** (self.dim + 1)

    @property
    def octave_weights(self) -> Float[np.ndarray, " scale"]:
        """1 / h^d, the Haar weights of a sum over the scales of this set.

        An octave at h is an interval dh proportional to h, which leaves h^-d of dx dh / h^(d+1).
        """
        return self.group_weights * self.scales

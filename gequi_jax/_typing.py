"""Array types and the vocabulary of dimension names that every annotation of this package uses.

`batch`, `*spatial` (rows and columns in the plane), `group` (the elements of H), `channels`, `heads`, `features`
(the channels of one head) and `window` (the offsets of a neighbourhood, flattened in array order).
"""

from jaxtyping import Array, Bool, Float, Int

Grid = Float[Array, "batch *spatial channels"]
FeatureMap = Float[Array, "batch *spatial group channels"]
GridHeads = Float[Array, "batch *spatial heads features"]
FeatureMapHeads = Float[Array, "batch *spatial group heads features"]

__all__ = ["Array", "Bool", "FeatureMap", "FeatureMapHeads", "Float", "Grid", "GridHeads", "Int"]

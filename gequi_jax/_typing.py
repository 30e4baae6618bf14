"""Array types and the dimension names used in all annotations of this package.

`batch`, `*spatial` (rows and columns in the plane), `group` (the elements of H), `channels`, `heads`, `features`
(the channels of one head) and `window` (the offsets of a neighbourhood, flattened in array order).
"""

import numpy as np
from jaxtyping import Array, Bool, Float, Int, Shaped

Grid = Float[Array, "batch *spatial channels"]
FeatureMap = Float[Array, "batch *spatial group channels"]
# Outputs whose size, poses or channels differ from those of the input.
OutGrid = Float[Array, "batch *out_spatial out_channels"]
OutFeatureMap = Float[Array, "batch *out_spatial out_group out_channels"]
GridHeads = Float[Array, "batch *spatial heads features"]
FeatureMapHeads = Float[Array, "batch *spatial group heads features"]
# Values may have other features than queries and keys.
GridValues = Float[Array, "batch *spatial heads value_features"]
FeatureMapValues = Float[Array, "batch *spatial group heads value_features"]
# Functions that move entries without arithmetic where they can: they accept every dtype, and return a NumPy array for a NumPy array.
AnyGrid = Shaped[Array | np.ndarray, "batch *spatial channels"]
AnyOutGrid = Shaped[Array | np.ndarray, "batch *out_spatial out_channels"]
AnyFeatureMap = Shaped[Array | np.ndarray, "batch *spatial group channels"]
AnyOutFeatureMap = Shaped[Array | np.ndarray, "batch *out_spatial out_group out_channels"]

__all__ = [
    "AnyFeatureMap",
    "AnyGrid",
    "AnyOutFeatureMap",
    "AnyOutGrid",
    "Array",
    "Bool",
    "FeatureMap",
    "FeatureMapHeads",
    "FeatureMapValues",
    "Float",
    "Grid",
    "GridHeads",
    "GridValues",
    "Int",
    "OutFeatureMap",
    "OutGrid",
]

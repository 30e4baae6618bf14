"""The arrays of self-attention, as every implementation receives them."""

from typing import NamedTuple

from gequi_jax._typing import Array
from gequi_jax.functional._types import wide_type


class Operands(NamedTuple):
    """The arrays of group self-attention, checked, with the query already scaled.

    Lifting self-attention is the case of a single query and key pose and a pose encoding without features.

    Attributes:
      query, key, value: `[batch, *spatial, pose, heads, features]`. An implementation that works on one sample leaves out
        the batch, one that works on one head has `[pose, features, *spatial]`.
      position_encoding: `[group, window, position_features]`; it meets the first features of the query.
      pose_encoding: `[group, query, key, pose_features]`; it meets the last features of the query.
    """

    query: Array
    key: Array
    value: Array
    position_encoding: Array
    pose_encoding: Array

    def widened(self) -> "Operands":
        """The same arrays in the type of the scores."""
        wide = wide_type(self.query)
        return Operands(*(x.astype(wide) for x in self))

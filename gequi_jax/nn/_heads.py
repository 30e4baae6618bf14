"""What all self-attention layers share: the features of their heads and the projections to and from the heads."""

from typing import Any

from flax import nnx

from gequi_jax._checks import check_positive_integer


def features_per_head(qkv_features: int | None, out_features: int, num_heads: int) -> int:
    """The features of each head, `qkv_features / num_heads`.

    Args:
      qkv_features: the features of queries, keys and values, in total over the heads; `out_features` where None.
      out_features: channels of the output.
      num_heads: the number of heads.

    Raises:
      ValueError: if the total is not divisible by the number of heads.
    """
    total = out_features if qkv_features is None else check_positive_integer("qkv_features", qkv_features)
    if total % num_heads:
        default = " (out_features, the default)" if qkv_features is None else ""
        below, above = total // num_heads * num_heads, (total // num_heads + 1) * num_heads
        nearest = f"{below} or {above}" if below else f"{above}"
        raise ValueError(
            f"qkv_features: expected a total over heads that is divisible by num_heads={num_heads}; got {total}{default}; "
            f"use {nearest}, the same number of features for each head."
        )
    return total // num_heads


def position_features(head_features: int, dim: int) -> int:
    """Of the features of a head, those that encode coordinates on a group: as many for each coordinate as for the pose."""
    return head_features // (dim + 1) * dim


def create_projections(
    in_features: int, heads: tuple[int, int], out_features: int, *, query: dict[str, Any], others: dict[str, Any]
) -> tuple[nnx.LinearGeneral, nnx.LinearGeneral, nnx.LinearGeneral, nnx.LinearGeneral]:
    """The projections of an input to queries, keys and values, and that of the heads to the output.

    Args:
      in_features: channels of the input.
      heads: the number of heads, and the features of each.
      out_features: channels of the output.
      query: the options of `nnx.LinearGeneral` for the queries.
      others: those for the keys, the values and the output.
    """
    return (
        nnx.LinearGeneral(in_features, heads, **query),
        nnx.LinearGeneral(in_features, heads, **others),
        nnx.LinearGeneral(in_features, heads, **others),
        nnx.LinearGeneral(heads, out_features, axis=(-2, -1), **others),
    )

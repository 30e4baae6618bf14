"""The features of attention heads: `qkv_features` is the total over heads, as in Flax."""

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

"""GSA-Nets: networks of lifting and group self-attention."""

import functools
from collections.abc import Sequence

import jax
import jax.numpy as jnp
from flax import nnx

from gequi_jax import functional
from gequi_jax._typing import Array, Float, Grid
from gequi_jax.groups import FiniteGroup
from gequi_jax.models._family import Family
from gequi_jax.nn import GroupSelfAttention, GroupSelfAttentionBlock, LayerNorm, LiftingSelfAttention


class GSANet(nnx.Module):
    """Lifting self-attention, blocks of group self-attention, and a readout that is invariant under the group.

        images -> lifting -> LN -> swish -> blocks, with max pooling between some -> linear -> readout -> logits

    Invariant: the logits of L_g f are those of f, for every g that maps the input grid to itself.

    Args:
      group: the group H, planar.
      input_shape: `(rows, columns, channels)` of the images; sizes are checked against it when the network is built.
      num_classes: the number of logits.
      features: channels of every block.
      crops: for each block, the positions it removes on every side.
      pool_after: the blocks (counted from 0) followed by 2x2 max pooling.
      num_heads: heads of every attention layer.
      qkv_features: features of each head; half of `features` by default.
      window_size: the side of the windows, or None for global attention.
      attention_dropout_rate: dropout of attention weights.
      value_dropout_rate: dropout of the attention branch in each block.
      readout: "mean" takes the maximum over the group of the spatial mean; "sum" of the spatial sum, as the published
        code does.
      epsilon: of the norms.
      param_dtype: the type of the parameters.
      rngs: the random streams.

    Raises:
      ValueError: if crops leave nothing, pooling does not divide a size, or a window is larger than its map; the message
        names legal values.

    Reference: Romero & Cordonnier (2021), Appendix F and Fig. F.1.
    """

    def __init__(
        self,
        *,
        group: FiniteGroup,
        input_shape: Sequence[int],
        num_classes: int,
        features: int,
        crops: Sequence[int],
        pool_after: Sequence[int] = (),
        num_heads: int = 9,
        qkv_features: int | None = None,
        window_size: int | None = 5,
        attention_dropout_rate: float = 0.1,
        value_dropout_rate: float = 0.1,
        readout: str = "mean",
        epsilon: float = 1e-5,
        param_dtype: jax.typing.DTypeLike = jnp.float32,
        rngs: nnx.Rngs,
    ):
        attention = {
            "num_heads": num_heads,
            "qkv_features": features // 2 if qkv_features is None else qkv_features,
            "window_size": window_size,
            "dropout_rate": attention_dropout_rate,
            "param_dtype": param_dtype,
        }
        self.group = group
        self.pool_after = tuple(pool_after)
        self.readout = readout
        self.lifting = LiftingSelfAttention(input_shape[-1], features, group=group, **attention, rngs=rngs)
        self.norm = LayerNorm(features, group=group, epsilon=epsilon, param_dtype=param_dtype, rngs=rngs)
        self.blocks = nnx.List(
            GroupSelfAttentionBlock(
                features,
                attention=functools.partial(GroupSelfAttention, **attention),
                group=group,
                crop=crop,
                dropout_rate=value_dropout_rate,
                epsilon=epsilon,
                param_dtype=param_dtype,
                rngs=rngs,
            )
            for crop in crops
        )
        self.head = nnx.Linear(features, num_classes, use_bias=False, param_dtype=param_dtype, rngs=rngs)

    def __call__(self, x: Grid) -> Float[Array, "batch classes"]:
        """Maps images `[batch, rows, columns, channels]` to logits."""
        dim = self.group.dim
        x = nnx.swish(self.norm(self.lifting(x)))
        for index, block in enumerate(self.blocks):
            x = block(x)
            if index in self.pool_after:
                x = functional.spatial_pool(x, dim=dim, window_size=2)
        by_pose = functional.global_spatial_pool(self.head(x), dim=dim, reduction=self.readout)
        return functional.group_pool(by_pose, reduction="max")


_PAPER = "Romero & Cordonnier (2021)"

FAMILIES = (
    Family(
        template="digits_{group}_sa",
        network=GSANet,
        arguments={
            "input_shape": (8, 8, 1),
            "num_classes": 10,
            "features": 16,
            "crops": (0, 0, 0),
            "pool_after": (0,),
            "num_heads": 4,
            "window_size": 3,
            "attention_dropout_rate": 0.0,
            "value_dropout_rate": 0.0,
        },
        paper=_PAPER,
        table=None,
        reported={"z2": (None, None), "r4": (None, None)},
    ),
    Family(
        template="rotmnist_{group}_sa",
        network=GSANet,
        arguments={
            "input_shape": (28, 28, 1),
            "num_classes": 10,
            "features": 20,
            "crops": (2, 0, 2, 1, 1),
            "pool_after": (1,),
        },
        paper=_PAPER,
        table="Tab. 2",
        reported={
            "z2": (44_670, 96.37),
            "r4": (44_670, 97.46),
            "r8": (44_670, 97.90),
            "r12": (44_670, 97.97),
            "r16": (44_670, 97.66),
        },
    ),
)

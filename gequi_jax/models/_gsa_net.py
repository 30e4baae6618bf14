"""GSA-Nets: networks of lifting and group self-attention."""

import functools
from collections.abc import Callable, Sequence
from typing import Literal, get_args

import jax
import jax.numpy as jnp
from flax import nnx

from gequi_jax import functional
from gequi_jax._checks import check_choice, check_positive_integer, check_window
from gequi_jax._typing import Array, Float, Grid
from gequi_jax.groups import FiniteGroup
from gequi_jax.models._gsa_net_sizes import attention_windows
from gequi_jax.models._readout import pool_over_poses
from gequi_jax.models._sizes import check_input_shape, check_symmetric_sides
from gequi_jax.nn import (
    CoordinateMLP,
    Dropout,
    GroupSelfAttention,
    GroupSelfAttentionBlock,
    LayerNorm,
    LiftingSelfAttention,
)

Readout = Literal["max_then_mean", "mean_then_max", "sum_then_max"]
READOUTS = get_args(Readout)


class GSANet(nnx.Module):
    """Lifting self-attention, blocks of group self-attention, and a readout that is invariant under the group.

        images -> dropout -> lifting -> LN -> swish -> blocks, with LN, swish, dropout and max pooling between some
               -> linear -> readout -> logits

    Invariant: the logits of L_g f are those of f, for every g that maps the input grid to itself.

    A map that has become so small that a window would reach past every key gives its layer the window of side
    `2 side - 1`, which holds all keys already.

    Args:
      group: the group H.
      input_shape: `(*spatial, channels)` of the images; all sizes are checked against it when the network is built.
      num_classes: the number of logits.
      features: channels after lifting.
      block_features: channels of each block; `features` by default.
      crops: for each block, the positions it removes on every side.
      pool_after: the blocks (counted from 0) followed by max pooling of 2 positions along each axis.
      pool_lifting: the same after the lifting layer.
      pool_input: mean pooling of the input, before the lifting layer.
      normalize_between: LN and swish after each block.
      block: the constructor of the blocks; `PreNormSelfAttentionBlock` trains in fewer steps than the paper's.
      num_heads: heads of every attention layer.
      qkv_features: features of queries, keys and values of every attention layer, in total over the heads; by default
        each head has half as many as the layer has output channels.
      window_size: the side of the windows, or None for global attention.
      window_mask, position_encoding: as in `gequi_jax.nn.LiftingSelfAttention`.
      pose_index: as in `gequi_jax.nn.GroupSelfAttention`.
      attention_dropout_rate: dropout of attention weights.
      value_dropout_rate: dropout of the attention branch in each block.
      input_dropout_rate: dropout of the images.
      pool_dropout_rate: dropout before each pooling that follows a block.
      implementation: of the attention layers, as in `gequi_jax.functional.group_self_attention`.
      readout: "max_then_mean" takes the maximum over the group at each position and then the spatial mean, as the paper
        prints it: its logits do not grow with the map. "sum_then_max" sums over space and takes the maximum over the
        group last, as the published code does; "mean_then_max" is the same with a mean.
      allow_inequivariant: let pooling drop the positions that fill no block, as the published PCam network does.
      epsilon: of the norms.
      dtype: the type of the computation and of the logits; inferred by default. Softmax, the statistics of norms and
        positional encodings are float32 or wider.
      param_dtype: the type of the parameters.
      precision: of the linear maps, as in `jax.lax.dot_general`.
      kernel_init: initialiser of every linear map, those of the positional encodings among them: by default
        N(0, 2 / fan_in), that of the published code. Biases start at 0.
      query_init, query_bias_init: initialisers of the queries and their biases; `kernel_init` and 0 by default.
      rngs: the random streams.

    Raises:
      ValueError: if crops leave nothing, pooling does not divide a size, the window is larger than the image, or a name
        is unknown; the message names legal values.

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
        block_features: Sequence[int] | None = None,
        pool_after: Sequence[int] = (),
        pool_lifting: bool = False,
        pool_input: bool = False,
        normalize_between: bool = False,
        block: Callable[..., nnx.Module] = GroupSelfAttentionBlock,
        num_heads: int = 9,
        qkv_features: int | None = None,
        window_size: int | None = 5,
        window_mask: functional.WindowMask | None = None,
        position_encoding: Callable[..., nnx.Module] = CoordinateMLP,
        pose_index: functional.PoseIndex = functional.key_pose,
        attention_dropout_rate: float = 0.1,
        value_dropout_rate: float = 0.1,
        input_dropout_rate: float = 0.0,
        pool_dropout_rate: float = 0.0,
        implementation: functional.Implementation = "auto",
        readout: Readout = "max_then_mean",
        allow_inequivariant: bool = False,
        epsilon: float = 1e-5,
        dtype: jax.typing.DTypeLike | None = None,
        param_dtype: jax.typing.DTypeLike = jnp.float32,
        precision: jax.lax.PrecisionLike = None,
        kernel_init: nnx.Initializer = nnx.initializers.variance_scaling(2.0, "fan_in", "normal"),
        query_init: nnx.Initializer | None = None,
        query_bias_init: nnx.Initializer | None = None,
        rngs: nnx.Rngs,
    ):
        check_choice("readout", readout, READOUTS)
        input_shape = check_input_shape(input_shape, group=group)
        if not allow_inequivariant:
            check_symmetric_sides(input_shape, group=group)
        window_size = None if window_size is None else check_window(window_size)
        num_heads = check_positive_integer("num_heads", num_heads)
        widths = [features, *([features] * len(crops) if block_features is None else block_features)]
        windows = attention_windows(
            input_shape,
            window_size=window_size,
            crops=crops,
            pool_after=pool_after,
            pool_lifting=pool_lifting,
            pool_input=pool_input,
            block_features=widths[1:],
            allow_inequivariant=allow_inequivariant,
        )
        types = {"dtype": dtype, "param_dtype": param_dtype}
        common = {"precision": precision, "kernel_init": kernel_init, **types}
        norm = {"group": group, "epsilon": epsilon, "rngs": rngs, **types}

        def attention(out_features: int, window_size: int | None) -> dict:
            return {
                "num_heads": num_heads,
                "qkv_features": num_heads * max(1, out_features // 2) if qkv_features is None else qkv_features,
                "window_size": window_size,
                "window_mask": window_mask,
                "position_encoding": position_encoding,
                "dropout_rate": attention_dropout_rate,
                "implementation": implementation,
                "query_init": query_init,
                "query_bias_init": query_bias_init,
                **common,
            }

        self.group = group
        self.input_shape = input_shape
        self.num_classes = num_classes
        self.pool_after = tuple(pool_after)
        self.pool_lifting = pool_lifting
        self.pool_input = pool_input
        self.window_size = window_size
        self.readout = readout
        self.allow_inequivariant = allow_inequivariant
        self.input_dropout = Dropout(input_dropout_rate, rngs=rngs)
        self.lifting = LiftingSelfAttention(
            input_shape[-1], features, group=group, **attention(features, windows[0]), rngs=rngs
        )
        self.norm = LayerNorm(features, **norm)
        self.blocks = nnx.List(
            block(
                into,
                out,
                attention=functools.partial(GroupSelfAttention, pose_index=pose_index, **attention(out, window)),
                group=group,
                crop=crop,
                dropout_rate=value_dropout_rate,
                epsilon=epsilon,
                **common,
                rngs=rngs,
            )
            for into, out, window, crop in zip(widths[:-1], widths[1:], windows[1:], crops, strict=True)
        )
        between = widths[1:] if normalize_between else []
        self.norms_between = nnx.List(LayerNorm(width, **norm) for width in between)
        self.pool_dropout = Dropout(pool_dropout_rate, rngs=rngs)
        self.head = nnx.Linear(widths[-1], num_classes, use_bias=False, **common, rngs=rngs)

    def __call__(self, x: Grid) -> Float[Array, "batch classes"]:
        """Maps images `[batch, *spatial, channels]` to logits."""
        if x.shape[1:] != self.input_shape:
            raise ValueError(
                f"input: this network was built for images [batch, {', '.join(map(str, self.input_shape))}]; got shape "
                f"{x.shape}. Resize the images, or build it with another input_shape."
            )
        if self.pool_input:
            x = self._pool(x, reduction="mean")
        x = nnx.swish(self.norm(self.lifting(self.input_dropout(x))))
        if self.pool_lifting:
            x = self._pool(x)
        for index, block in enumerate(self.blocks):
            x = block(x)
            if self.norms_between:
                x = nnx.swish(self.norms_between[index](x))
            if index in self.pool_after:
                x = self._pool(self.pool_dropout(x))
        return self._read_out(self.head(x))

    def _pool(self, x: Array, reduction: functional.Reduction = "max") -> Array:
        options = {"reduction": reduction, "allow_inequivariant": self.allow_inequivariant}
        return functional.spatial_pool(x, dim=self.group.dim, **options)

    def _read_out(self, x: Array) -> Array:
        if self.readout == "max_then_mean":
            return functional.global_spatial_pool(pool_over_poses(x, self.num_classes), dim=self.group.dim)
        reduction: functional.Reduction = "sum" if self.readout == "sum_then_max" else "mean"
        by_pose = functional.global_spatial_pool(x, dim=self.group.dim, reduction=reduction)
        return pool_over_poses(by_pose, self.num_classes)

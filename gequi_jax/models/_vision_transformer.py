"""Vision transformers on the group: attention by frames, and linear maps in the Fourier basis of the group."""

import functools
import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal, get_args

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from gequi_jax._checks import check_choice, check_group, check_non_negative_integer, check_positive_integer, check_rate
from gequi_jax._typing import Array, Float, Grid
from gequi_jax.groups import FiniteGroup
from gequi_jax.models._readout import pool_over_poses
from gequi_jax.models._stages import behind_restriction, groups_of_stages
from gequi_jax.models._vit_sizes import check_depths, check_patches, heads_of_a_frame
from gequi_jax.nn import (
    BispectrumReadout,
    ChannelNorm,
    FrameSelfAttention,
    PatchLifting,
    PatchMerging,
    RestrictPoses,
    TransformerBlock,
)

VitReadout = Literal["mean", "max", "bispectrum"]


class VisionTransformer(nnx.Module):
    """Patches, blocks of attention by frames, and a readout that is invariant under the group.

        images -> patches -> blocks, with merging of patches between stages -> LN -> mean over positions -> readout -> logits

    Invariant: the logits of L_g f are those of f, for every g that maps the input grid to itself. With the trivial group it
    is a plain vision transformer. With as many numbers for each position, `order * features`, a group makes the linear maps
    cheaper and leaves the cost of attention as it is.

    The symmetry can shrink with depth: with `group_by_stage` the network is invariant under the last group. A hybrid, whose
    first blocks are equivariant and whose last are free, is `depths=(6, 6), merge_patches=False,
    group_by_stage=(group, trivial_group())`.

    Args:
      group: the group H.
      input_shape: `(*spatial, channels)` of the images; all sizes are checked against it when the network is built.
      num_classes: the number of logits.
      features: channels of each pose in the first stage.
      depths: the number of blocks of each stage.
      merge_patches: whether blocks of 2 positions along each axis are merged between stages. A position then has twice as
        many numbers in all poses together; else it keeps their number.
      group_by_stage: the group of each stage, from `group` to its subgroups; `group` in all of them by default. Where the
        group shrinks from H to K, poses become channels (`nn.RestrictPoses`), |H| / |K| times as many for each pose that is
        left. The attribute `group` of the network is the last of them.
      num_heads: heads of each frame in the first stage, as many times more later as features; by default heads have about
        64 features.
      patch_size: the side of a patch.
      patch_strides: the distance of neighbouring patches, `patch_size` by default; less lets them overlap.
      window_size: the side of the windows of attention in each stage, or one for all; None for global attention.
      num_registers: tokens without a position, with learned initial values that are the same in every frame.
      class_token: read out from one more such token, in place of the mean over positions.
      position_encoding: the constructor of relative encodings in addition to rotary ones, as in
        `gequi_jax.nn.FrameSelfAttention`.
      mlp_ratio: the width of the pointwise networks relative to the features.
      readout: how poses are reduced: "mean" or "max" of the logits of all poses, or "bispectrum", invariants that also keep
        how poses are arranged, see `gequi_jax.nn.BispectrumReadout`.
      attention_dropout_rate: dropout of attention weights.
      dropout_rate: dropout in the pointwise networks.
      drop_path_rate: the probability that the last branch of a sample is dropped; it grows linearly from 0 over the blocks.
      initial_layer_scale: where the factors of branches start; None for no factors.
      epsilon: of the norms.
      dtype: the type of the computation and of the logits; inferred by default. Softmax, rotations and the statistics of
        norms are float32 or wider.
      param_dtype: the type of the parameters.
      precision: of the linear maps, as in `jax.lax.dot_general`.
      kernel_init: initialiser of all linear maps.
      rngs: the random streams.

    Raises:
      ValueError: if patches or their mergings do not divide a side, stages, windows and groups are not as many, the groups do
        not shrink, or there are registers and windows or several stages.

    Reference: Dosovitskiy et al. (2021); Islam et al. (2025), Platonic Transformers; Liu et al. (2021), Swin Transformer,
    for stages; Darcet et al. (2024) for registers.
    """

    def __init__(
        self,
        *,
        group: FiniteGroup,
        input_shape: Sequence[int],
        num_classes: int,
        features: int,
        depths: Sequence[int] = (12,),
        merge_patches: bool = True,
        group_by_stage: Sequence[FiniteGroup] | None = None,
        num_heads: int | None = None,
        patch_size: int = 16,
        patch_strides: int | None = None,
        window_size: int | Sequence[int | None] | None = None,
        num_registers: int = 0,
        class_token: bool = False,
        position_encoding: Callable[..., nnx.Module] | None = None,
        mlp_ratio: float = 4.0,
        readout: VitReadout = "mean",
        attention_dropout_rate: float = 0.0,
        dropout_rate: float = 0.0,
        drop_path_rate: float = 0.0,
        initial_layer_scale: float | None = None,
        epsilon: float = 1e-6,
        dtype: jax.typing.DTypeLike | None = None,
        param_dtype: jax.typing.DTypeLike = jnp.float32,
        precision: jax.lax.PrecisionLike = None,
        kernel_init: nnx.Initializer = nnx.initializers.xavier_uniform(),
        rngs: nnx.Rngs,
    ):
        check_group(group)
        check_choice("readout", readout, get_args(VitReadout))
        self.depths = check_depths(depths)
        groups = groups_of_stages(group_by_stage, group=group, num_stages=len(self.depths))
        self.group = groups[-1]
        strides = patch_size if patch_strides is None else patch_strides
        num_mergings = len(self.depths) - 1 if merge_patches else 0
        self.input_shape = check_patches(input_shape, strides, num_mergings=num_mergings, group=group)
        self.num_classes = check_positive_integer("num_classes", num_classes)
        self.readout: VitReadout = readout
        self.num_registers = check_non_negative_integer("num_registers", num_registers)
        self.class_token = class_token
        windows = self._windows(window_size)
        features = check_positive_integer("features", features)
        heads = heads_of_a_frame(features) if num_heads is None else check_positive_integer("num_heads", num_heads)
        types = {"dtype": dtype, "param_dtype": param_dtype}
        common = {"precision": precision, "kernel_init": kernel_init, "rngs": rngs, **types}

        self.patches = PatchLifting(self.input_shape[-1], features, patch_size, strides=strides, group=group, **common)
        tokens = (self.num_registers + class_token, features)
        token_init = nnx.initializers.normal(0.02)
        self.registers = nnx.Param(token_init(rngs.params(), tokens, param_dtype)) if tokens[0] else nnx.data(None)
        attention = functools.partial(
            FrameSelfAttention, position_encoding=position_encoding, dropout_rate=attention_dropout_rate
        )
        block = functools.partial(
            TransformerBlock,
            mlp_ratio=mlp_ratio,
            dropout_rate=dropout_rate,
            initial_layer_scale=initial_layer_scale,
            epsilon=epsilon,
            **common,
        )
        stages = [stage for stage, depth in enumerate(self.depths) for _ in range(depth)]
        rates = np.linspace(0.0, check_rate("drop_path_rate", drop_path_rate), len(stages)).tolist()
        factors = [
            group.order // of_stage.order * (2**stage if merge_patches else 1) for stage, of_stage in enumerate(groups)
        ]
        self.blocks = nnx.List(
            block(
                features * factors[stage],
                group=groups[stage],
                attention=functools.partial(attention, num_heads=heads * factors[stage], window_size=windows[stage]),
                drop_path_rate=rate,
            )
            for stage, rate in zip(stages, rates, strict=True)
        )
        widths = [features * factor for factor in factors]
        self.mergings = nnx.List(
            behind_restriction(before, PatchMerging)(into, out, group=after, **common)
            if merge_patches
            else RestrictPoses(group=before, subgroup=after)
            for (into, before), (out, after) in itertools.pairwise(zip(widths, groups, strict=True))
        )
        last = widths[-1]
        self.norm = ChannelNorm(last, epsilon=epsilon, reduction_axes=(-2, -1), rngs=rngs, **types)
        linear = {"precision": precision, "rngs": rngs, **types}
        self.head = (
            BispectrumReadout(last, num_classes, group=self.group, **linear)
            if readout == "bispectrum"
            else nnx.Linear(last, num_classes, **linear)
        )

    def __call__(self, x: Grid) -> Float[Array, "batch classes"]:
        """Maps images `[batch, *spatial, channels]` to logits."""
        if x.shape[1:] != self.input_shape:
            raise ValueError(
                f"input: this network was built for images [batch, {', '.join(map(str, self.input_shape))}]; got shape "
                f"{x.shape}. Resize the images, or build it with another input_shape."
            )
        x = self.patches(x)
        if self.registers is None:
            x = self._run_stages(x)
        else:
            shape = (x.shape[0], self.registers.shape[0], *x.shape[-2:])
            registers = jnp.broadcast_to(self.registers[...][None, :, None].astype(x.dtype), shape)
            for block in self.blocks:
                x, registers = block(x, registers)
            x = registers[:, -1:] if self.class_token else x
        by_pose = jnp.mean(self.norm(x), axis=tuple(range(1, x.ndim - 2)))
        logits = self.head(by_pose)
        return (
            logits
            if self.readout == "bispectrum"
            else pool_over_poses(logits, self.num_classes, reduction=self.readout)
        )

    def _run_stages(self, x: Array) -> Array:
        blocks: Iterator[Any] = iter(self.blocks)
        for stage, depth in enumerate(self.depths):
            if stage:
                x = self.mergings[stage - 1](x)
            for _ in range(depth):
                x = next(blocks)(x)
        return x

    def _windows(self, window_size: int | Sequence[int | None] | None) -> Sequence[int | None]:
        stages = len(self.depths)
        windows = [window_size] * stages if window_size is None or isinstance(window_size, int) else [*window_size]
        if len(windows) != stages:
            raise ValueError(f"window_size: expected one side, or {stages}, one for each stage; got {window_size!r}.")
        if (self.num_registers or self.class_token) and (stages > 1 or windows[0] is not None):
            raise ValueError(
                "num_registers, class_token: expected one stage of global attention, in which every position sees the "
                f"registers; got {stages} stages with windows {windows}."
            )
        return windows

"""Every layer of the package as one row: its input, its output and how it is built. A new layer is one more row."""

import dataclasses
from collections.abc import Callable
from functools import partial

import jax.numpy as jnp
import numpy as np
from flax import nnx

from gequi_jax import functional, nn
from gequi_jax.actions import round_window
from gequi_jax.groups import DyadicDilations, FiniteGroup, cyclic_group, mirror_group
from tests import families


@dataclasses.dataclass(frozen=True)
class Row:
    """A layer under test.

    Attributes:
      name: of the test.
      build: from a group, random streams and a parameter type to a function of the input.
      input, output: how the group acts, as in `gequi_jax.testing`.
      sizes: sides of the grids to test.
      has_weights: whether it is a module; else a function.
      groups: the groups to test, where all of them would take long to compile; None for all.
    """

    name: str
    build: Callable[..., Callable]
    input: str = "feature_map"
    output: str = "feature_map"
    sizes: tuple[int, ...] = (5, 6)
    has_weights: bool = True
    groups: tuple[FiniteGroup, ...] | None = None

    def input_shape(self, group: FiniteGroup, spatial_shape: tuple[int, ...]) -> tuple[int, ...]:
        """The shape of one input of three channels, or three vectors or tensors, without the batch."""
        poses = (group.order,) if self.input == "feature_map" else ()
        components = {"vectors": (group.dim,), "tensors": (group.dim, group.dim)}.get(self.input, ())
        return (*spatial_shape, *poses, 3, *components)


@dataclasses.dataclass(frozen=True)
class DilationRow:
    """A layer on the dilation-translation group under test.

    Attributes:
      name: of the test.
      build: from dilations, random streams and a parameter type to a module.
      input: "grid" for images, "scales" for functions of position and scale.
      scale_window: how many scales, upwards from that of the output, an output reads.
    """

    name: str
    build: Callable[..., nnx.Module]
    input: str
    scale_window: int


def _layer(constructor, *args, **options):
    def build(group: FiniteGroup, rngs: nnx.Rngs, param_dtype):
        return constructor(*args, group=group, param_dtype=param_dtype, rngs=rngs, **options)

    return build


def _batch_norm(group, rngs, param_dtype):
    return nn.BatchNorm(3, group=group, param_dtype=param_dtype, rngs=rngs)


def _block(group, rngs, param_dtype):
    attention = partial(nn.GroupSelfAttention, num_heads=2, qkv_features=14, window_size=3, param_dtype=param_dtype)
    return nn.GroupSelfAttentionBlock(
        3, 4, attention=attention, group=group, crop=1, param_dtype=param_dtype, rngs=rngs
    )


def _pre_norm_block(group, rngs, param_dtype):
    attention = partial(nn.GroupSelfAttention, num_heads=2, qkv_features=14, window_size=3, param_dtype=param_dtype)
    return nn.PreNormSelfAttentionBlock(
        3, 3, attention=attention, group=group, crop=1, param_dtype=param_dtype, rngs=rngs
    )


def _dilation_layer(constructor, **options):
    def build(dilations: DyadicDilations, rngs: nnx.Rngs, param_dtype):
        return constructor(3, 16, dilations=dilations, num_heads=2, param_dtype=param_dtype, rngs=rngs, **options)

    return build


def _attentive_rows():
    """Every attention of the paper. The group layer has a non-abelian group, whose elements are in no special order."""
    for attention in ("full", "channel", "spatial", "input", "rh"):
        options = {"attention": attention, "attention_kernel_size": 3}
        groups = (cyclic_group(4),)
        yield Row(
            f"attentive_lifting_conv_{attention}",
            _layer(nn.AttentiveLiftingConv, 3, 2, 3, **options),
            input="grid",
            sizes=(4, 5),
            groups=groups,
        )
        groups = (families.SHUFFLED_SQUARE, *(families.OTHER_DIMENSIONS if attention == "full" else ()))
        yield Row(
            f"attentive_group_conv_{attention}",
            _layer(nn.AttentiveGroupConv, 3, 2, 3, **options),
            sizes=(4, 5),
            groups=groups,
        )


def _function(function, **options):
    return lambda group, rngs, param_dtype: lambda x: function(x, **options)


def _spatial_pool(group, rngs, param_dtype):
    return lambda x: functional.spatial_pool(x, dim=group.dim)


def _coset_pool(group, rngs, param_dtype):
    return lambda x: functional.coset_pool(x, group=group, subgroup=group)[..., 0, :]


def _restricted(group, rngs, param_dtype):
    """Feature maps of a lifting for the group and the inversion -1, restricted to the group."""
    larger = FiniteGroup.generate([*group.matrices, -np.eye(group.dim)], name=f"{group.name} and inversion")
    lifting = nn.LiftingConv(3, 2, 3, group=larger, param_dtype=param_dtype, rngs=rngs)
    return nnx.Sequential(lifting, nn.RestrictPoses(group=larger, subgroup=group))


def _on_the_grid(function, **options):
    """A function that asks for the number of spatial axes."""
    return lambda group, rngs, param_dtype: lambda x: function(x, dim=group.dim, **options)


def _of_the_group(function):
    return lambda group, rngs, param_dtype: lambda x: function(x, group=group)


def _upsample_to_odd_sides(group, rngs, param_dtype):
    def upsample(x):
        shape = tuple(2 * side - 1 for side in x.shape[1 : 1 + group.dim])
        return functional.upsample(x, dim=group.dim, spatial_shape=shape, method="linear", align_corners=True)

    return upsample


def _readout(group, rngs, param_dtype):
    return lambda x: functional.group_pool(functional.global_spatial_pool(jnp.cos(x), dim=group.dim))


def _dense_rows():
    """Layers that change the size of the grid, and those between feature maps and fields."""
    groups = (families.SHUFFLED_SQUARE, *families.OTHER_DIMENSIONS)
    interpolated = (families.SHUFFLED_SQUARE, cyclic_group(8))
    without_weights: dict = {"has_weights": False, "groups": (families.SHUFFLED_SQUARE, families.QUARTER_TURNS_3D)}
    yield Row("group_conv_transpose", _layer(nn.GroupConvTranspose, 3, 4, 3, strides=2), sizes=(3, 4), groups=groups)
    yield Row(
        "group_conv_transpose_even_window",
        _layer(nn.GroupConvTranspose, 3, 4, 4, strides=2, padding=1),
        sizes=(3, 4),
        groups=interpolated,
    )
    yield Row("vector_readout", _layer(nn.VectorReadout, 3, 2), output="vectors", groups=groups)
    yield Row("tensor_readout", _layer(nn.TensorReadout, 3, 2), output="tensors", groups=groups)
    functions = {
        "upsample": _on_the_grid(functional.upsample),
        "upsample_linear": _on_the_grid(functional.upsample, method="linear", factor=3),
        "upsample_to_odd_sides": _upsample_to_odd_sides,
        "antialiased_pool": _on_the_grid(functional.antialiased_pool),
    }
    for name, build in functions.items():
        yield Row(name, build, **without_weights)
    spaces = {
        functional.pseudoscalar_readout: ("feature_map", "pseudoscalars"),
        functional.lift_vectors: ("vectors", "feature_map"),
        functional.lift_tensors: ("tensors", "feature_map"),
    }
    for function, (input, output) in spaces.items():
        build = _of_the_group(function)
        yield Row(function.__name__, build, input=input, output=output, **without_weights)


def _transformer_block(group, rngs, param_dtype):
    attention = partial(nn.FrameSelfAttention, num_heads=1, qkv_features=2)
    return nn.TransformerBlock(
        3, group=group, attention=attention, initial_layer_scale=1.0, param_dtype=param_dtype, rngs=rngs
    )


def _bispectrum(group, rngs, param_dtype):
    readout = nn.BispectrumReadout(3, 5, group=group, param_dtype=param_dtype, rngs=rngs)
    return nnx.Sequential(lambda x: functional.global_spatial_pool(jnp.cos(x), dim=group.dim), readout)


_SQUARE_AND_VOLUME = (families.SHUFFLED_SQUARE, families.QUARTER_TURNS_3D)
_attention = {"num_heads": 2, "qkv_features": 14}

LAYERS = [
    Row("lifting_conv", _layer(nn.LiftingConv, 3, 4, 3), input="grid"),
    Row("lifting_conv_strided", _layer(nn.LiftingConv, 3, 4, 3, strides=2), input="grid", sizes=(5, 7)),
    Row("group_conv", _layer(nn.GroupConv, 3, 4, 3)),
    Row("group_linear", _layer(nn.GroupLinear, 3, 4)),
    Row("group_conv_even_window", _layer(nn.GroupConv, 3, 4, 4, padding="VALID")),
    Row("group_conv_dilated", _layer(nn.GroupConv, 3, 4, 3, kernel_dilation=2)),
    Row("lifting_self_attention", _layer(nn.LiftingSelfAttention, 3, 4, window_size=3, **_attention), input="grid"),
    Row("lifting_self_attention_global", _layer(nn.LiftingSelfAttention, 3, 4, **_attention), input="grid"),
    Row("group_self_attention", _layer(nn.GroupSelfAttention, 3, 4, window_size=5, **_attention)),
    Row(
        "group_self_attention_round",
        _layer(nn.GroupSelfAttention, 3, 4, window_size=5, window_mask=round_window, **_attention),
    ),
    Row(
        "group_self_attention_pallas",
        _layer(nn.GroupSelfAttention, 3, 4, window_size=3, implementation="pallas", **_attention),
        sizes=(3, 4),
        groups=(families.SHUFFLED_SQUARE, cyclic_group(4), *families.OTHER_DIMENSIONS),
    ),
    Row(
        "lifting_self_attention_pallas",
        _layer(nn.LiftingSelfAttention, 3, 4, window_size=3, implementation="pallas", **_attention),
        input="grid",
        sizes=(3, 4),
        groups=(families.SHUFFLED_SQUARE,),
    ),
    Row("group_self_attention_global", _layer(nn.GroupSelfAttention, 3, 4, **_attention)),
    Row("group_self_attention_block", _block),
    Row("pre_norm_self_attention_block", _pre_norm_block),
    Row(
        "frame_self_attention",
        _layer(nn.FrameSelfAttention, 3, 4, num_heads=2, qkv_features=8, position_encoding=nn.FourierEncoding),
        sizes=(4, 5),
        groups=(cyclic_group(8), *_SQUARE_AND_VOLUME),
    ),
    Row(
        "frame_self_attention_windowed",
        _layer(nn.FrameSelfAttention, 3, 4, num_heads=2, qkv_features=8, window_size=3),
        sizes=(4, 9),
        groups=(families.SHUFFLED_SQUARE,),
    ),
    Row("patch_lifting", _layer(nn.PatchLifting, 3, 4, 2), input="grid", sizes=(4, 6), groups=_SQUARE_AND_VOLUME),
    Row(
        "patch_lifting_overlapping",
        _layer(nn.PatchLifting, 3, 4, 5, strides=3),
        input="grid",
        sizes=(6, 9),
        groups=(families.SHUFFLED_SQUARE,),
    ),
    Row("patch_merging", _layer(nn.PatchMerging, 3, 4), sizes=(4, 6), groups=_SQUARE_AND_VOLUME),
    Row("group_mlp", _layer(nn.GroupMLP, 3, 5), sizes=(3, 4), groups=(families.SHUFFLED_SQUARE,)),
    Row("transformer_block", _transformer_block, sizes=(3, 4), groups=(families.SHUFFLED_SQUARE,)),
    Row(
        "bispectrum",
        _bispectrum,
        output="invariant",
        sizes=(2, 3),
        groups=(families.SHUFFLED_SQUARE,),
    ),
    Row("layer_norm", _layer(nn.LayerNorm, 3)),
    Row("batch_norm", _batch_norm),
    Row("group_pool", _function(functional.group_pool), output="grid", has_weights=False),
    Row("coset_pool", _coset_pool, output="grid", has_weights=False),
    Row("restrict_poses", _restricted, input="grid", groups=(families.QUARTER_TURNS_3D, mirror_group())),
    Row("spatial_pool", _spatial_pool, sizes=(4, 6), has_weights=False),
    Row("readout", _readout, output="invariant", has_weights=False),
    *_dense_rows(),
    *_attentive_rows(),
]

DILATION_LAYERS = [
    DilationRow("lifting_dilation_attention", _dilation_layer(nn.LiftingDilationSelfAttention), "grid", 1),
    DilationRow(
        "group_dilation_attention", _dilation_layer(nn.GroupDilationSelfAttention, scale_window=2), "scales", 2
    ),
    DilationRow(
        "group_dilation_attention_without_haar_weights",
        _dilation_layer(nn.GroupDilationSelfAttention, scale_window=2, haar_weights="none"),
        "scales",
        2,
    ),
]

"""Flax NNX modules: parameters, initialisers, and one call of `gequi_jax.functional`.

`module.train()` and `module.eval()` switch dropout and batch statistics, as everywhere in NNX.
"""

from gequi_jax.nn._antialiased_pool import AntialiasedPool as AntialiasedPool
from gequi_jax.nn._attention_operators import ChannelAttention as ChannelAttention
from gequi_jax.nn._attention_operators import InputChannelAttention as InputChannelAttention
from gequi_jax.nn._attention_operators import InputPoseAttention as InputPoseAttention
from gequi_jax.nn._attention_operators import InputSpatialAttention as InputSpatialAttention
from gequi_jax.nn._attention_operators import SeriesAttention as SeriesAttention
from gequi_jax.nn._attention_operators import SpatialAttention as SpatialAttention
from gequi_jax.nn._attentive_conv import AttentiveGroupConv as AttentiveGroupConv
from gequi_jax.nn._attentive_conv import AttentiveLiftingConv as AttentiveLiftingConv
from gequi_jax.nn._bispectrum import BispectrumReadout as BispectrumReadout
from gequi_jax.nn._blocks import GroupSelfAttentionBlock as GroupSelfAttentionBlock
from gequi_jax.nn._blocks import PreNormSelfAttentionBlock as PreNormSelfAttentionBlock
from gequi_jax.nn._conv import GroupConv as GroupConv
from gequi_jax.nn._conv import LiftingConv as LiftingConv
from gequi_jax.nn._conv_transpose import GroupConvTranspose as GroupConvTranspose
from gequi_jax.nn._dilation_attention import GroupDilationSelfAttention as GroupDilationSelfAttention
from gequi_jax.nn._dilation_attention import LiftingDilationSelfAttention as LiftingDilationSelfAttention
from gequi_jax.nn._drop_path import DropPath as DropPath
from gequi_jax.nn._drop_path import LayerScale as LayerScale
from gequi_jax.nn._dropout import Dropout as Dropout
from gequi_jax.nn._fields import TensorLifting as TensorLifting
from gequi_jax.nn._fields import TensorReadout as TensorReadout
from gequi_jax.nn._fields import VectorLifting as VectorLifting
from gequi_jax.nn._fields import VectorReadout as VectorReadout
from gequi_jax.nn._frame_attention import FrameSelfAttention as FrameSelfAttention
from gequi_jax.nn._frame_attention import rotary_frequencies as rotary_frequencies
from gequi_jax.nn._group_linear import GroupLinear as GroupLinear
from gequi_jax.nn._normalization import BatchNorm as BatchNorm
from gequi_jax.nn._normalization import ChannelNorm as ChannelNorm
from gequi_jax.nn._normalization import LayerNorm as LayerNorm
from gequi_jax.nn._patches import PatchLifting as PatchLifting
from gequi_jax.nn._patches import PatchMerging as PatchMerging
from gequi_jax.nn._position_encoding import CoordinateMLP as CoordinateMLP
from gequi_jax.nn._position_encoding import CoordinateTable as CoordinateTable
from gequi_jax.nn._position_encoding import FourierEncoding as FourierEncoding
from gequi_jax.nn._restrict_poses import RestrictPoses as RestrictPoses
from gequi_jax.nn._self_attention import GroupSelfAttention as GroupSelfAttention
from gequi_jax.nn._self_attention import LiftingSelfAttention as LiftingSelfAttention
from gequi_jax.nn._transformer_block import GroupMLP as GroupMLP
from gequi_jax.nn._transformer_block import TransformerBlock as TransformerBlock

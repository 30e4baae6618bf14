"""Equivariant operations as pure functions of arrays: no parameters, no state, no Flax."""

from gequi_jax.functional._conv import Padding as Padding
from gequi_jax.functional._conv import group_conv as group_conv
from gequi_jax.functional._conv import lifting_conv as lifting_conv
from gequi_jax.functional._conv import resolve_padding as resolve_padding
from gequi_jax.functional._fourier import group_fourier_transform as group_fourier_transform
from gequi_jax.functional._fourier import inverse_group_fourier_transform as inverse_group_fourier_transform
from gequi_jax.functional._group_linear import group_linear as group_linear
from gequi_jax.functional._pooling import Reduction as Reduction
from gequi_jax.functional._pooling import global_spatial_pool as global_spatial_pool
from gequi_jax.functional._pooling import group_pool as group_pool
from gequi_jax.functional._pooling import spatial_pool as spatial_pool
from gequi_jax.functional._windows import WindowMask as WindowMask
from gequi_jax.functional._windows import WindowSize as WindowSize
from gequi_jax.functional._windows import resolve_window_mask as resolve_window_mask
from gequi_jax.functional.attentive_conv import AttentionOperator as AttentionOperator
from gequi_jax.functional.attentive_conv import Maps as Maps
from gequi_jax.functional.attentive_conv import PoseAction as PoseAction
from gequi_jax.functional.attentive_conv import ResponseAttention as ResponseAttention
from gequi_jax.functional.attentive_conv import Statistic as Statistic
from gequi_jax.functional.attentive_conv import as_maps as as_maps
from gequi_jax.functional.attentive_conv import attentive_group_conv as attentive_group_conv
from gequi_jax.functional.attentive_conv import attentive_lifting_conv as attentive_lifting_conv
from gequi_jax.functional.attentive_conv import channel_attention as channel_attention
from gequi_jax.functional.attentive_conv import input_channel_attention as input_channel_attention
from gequi_jax.functional.attentive_conv import input_pose_attention as input_pose_attention
from gequi_jax.functional.attentive_conv import input_spatial_attention as input_spatial_attention
from gequi_jax.functional.attentive_conv import regular_action as regular_action
from gequi_jax.functional.attentive_conv import spatial_attention as spatial_attention
from gequi_jax.functional.self_attention import HAAR_WEIGHTS as HAAR_WEIGHTS
from gequi_jax.functional.self_attention import HaarWeights as HaarWeights
from gequi_jax.functional.self_attention import Implementation as Implementation
from gequi_jax.functional.self_attention import PoseIndex as PoseIndex
from gequi_jax.functional.self_attention import ge_vit_pose as ge_vit_pose
from gequi_jax.functional.self_attention import group_dilation_attention as group_dilation_attention
from gequi_jax.functional.self_attention import group_self_attention as group_self_attention
from gequi_jax.functional.self_attention import group_self_attention_probabilities as group_self_attention_probabilities
from gequi_jax.functional.self_attention import is_invariant as is_invariant
from gequi_jax.functional.self_attention import key_pose as key_pose
from gequi_jax.functional.self_attention import lifting_dilation_attention as lifting_dilation_attention
from gequi_jax.functional.self_attention import lifting_self_attention as lifting_self_attention
from gequi_jax.functional.self_attention import (
    lifting_self_attention_probabilities as lifting_self_attention_probabilities,
)
from gequi_jax.functional.self_attention import printed_pose as printed_pose
from gequi_jax.functional.self_attention import published_pose as published_pose
from gequi_jax.functional.self_attention import query_and_key_pose as query_and_key_pose
from gequi_jax.functional.self_attention import relative_pose as relative_pose
from gequi_jax.functional.self_attention import transformed_position_encodings as transformed_position_encodings
